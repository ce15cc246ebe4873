namespace CudaSae.Devices;

/// <summary>Collectives between the devices of the ranks, by NCCL. A call is queued on a stream, can be captured in a
/// graph, and returns before the work is done. Every rank makes the same calls in the same order on one communicator,
/// and uses one stream for all of them. No operation adds floats.</summary>
sealed unsafe class NcclCommunicator : IDisposable
{
    public int Rank => throw new NotImplementedException();
    public int Size => throw new NotImplementedException();

    /// <summary>Sends block p of <paramref name="send"/> to rank p, and receives block p from rank p.</summary>
    /// <param name="send">[Size, bytes].</param>
    /// <param name="receive">[Size, bytes]; other memory.</param>
    /// <param name="bytes">Size of a block.</param>
    public void AllToAll(ulong send, ulong receive, long bytes, nint stream) => throw new NotImplementedException();

    /// <summary>Gives every rank the blocks of all ranks, in place.</summary>
    /// <param name="data">[Size, bytes]; block Rank is set.</param>
    /// <param name="bytes">Size of a block.</param>
    public void AllGather(ulong data, long bytes, nint stream) => throw new NotImplementedException();

    /// <summary>Copies the bytes of one rank to all others.</summary>
    public void Broadcast(ulong data, long bytes, int root, nint stream) => throw new NotImplementedException();

    public void Send(ulong data, long bytes, int to, nint stream) => throw new NotImplementedException();
    public void Receive(ulong data, long bytes, int from, nint stream) => throw new NotImplementedException();

    /// <summary>Replaces each number by its sum, maximum or minimum over the ranks.</summary>
    public void Reduce(ulong numbers, long count, NcclInteger type, NcclReduction reduction, nint stream) =>
        throw new NotImplementedException();

    /// <summary>Returns the error that NCCL found since the last call; null for none. Any thread may call it.</summary>
    public string? AsyncError() => throw new NotImplementedException();

    /// <summary>Ends the communicator without waiting for other ranks, which then fail.</summary>
    public void Abort() => throw new NotImplementedException();

    public void Dispose() => throw new NotImplementedException();
}

/// <summary>The integers that NCCL reduces; the values are those of ncclDataType_t.</summary>
enum NcclInteger
{
    Int32 = 2,
    UInt32 = 3,
    Int64 = 4,
}

/// <summary>The values are those of ncclRedOp_t.</summary>
enum NcclReduction
{
    Sum = 0,
    Max = 2,
    Min = 3,
}
