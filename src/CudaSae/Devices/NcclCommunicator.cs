namespace CudaSae.Devices;

/// <summary>Collectives between the devices of the ranks, by NCCL. A call is queued on a stream, can be captured in a
/// graph, and returns before the work is done. Every rank makes the same calls in the same order on one communicator,
/// and events order those of different streams. No operation adds floats.</summary>
sealed unsafe class NcclCommunicator : IDisposable
{
    const int Bytes = 0;                // ncclInt8

    readonly CudaDevice device;
    readonly Nccl nccl;
    readonly Lock gate = new();         // of the handle: another thread may abort
    nint handle;
    bool failed;

    /// <summary>Joins a group; returns when all ranks have joined.</summary>
    internal NcclCommunicator(CudaDevice device, Nccl nccl, byte[] id, int rank, int size)
    {
        (this.device, this.nccl, Rank, Size) = (device, nccl, rank, size);
        nint made = 0;
        Nccl.Id value;
        id.CopyTo(new Span<byte>(&value, Nccl.IdBytes));
        device.Announce(true);
        try { nccl.Check(nccl.join(&made, size, value, rank), "ncclCommInitRank"); }
        finally { device.Announce(false); }
        handle = made;
    }

    public int Rank { get; }
    public int Size { get; }

    /// <summary>Sends block p of <paramref name="send"/> to rank p, and receives block p from rank p.</summary>
    /// <param name="send">[Size, bytes].</param>
    /// <param name="receive">[Size, bytes]; other memory.</param>
    /// <param name="bytes">Size of a block.</param>
    public void AllToAll(ulong send, ulong receive, long bytes, nint stream) =>
        AllToAll(send, receive, bytes, [.. Enumerable.Range(0, Size)], stream);

    /// <summary>Does the same among some of the ranks: block i is for members[i], or comes from it.</summary>
    /// <param name="members">The ranks that exchange blocks, this one among them; the same on all of them.</param>
    /// <inheritdoc cref="AllToAll(ulong, ulong, long, nint)"/>
    public void AllToAll(ulong send, ulong receive, long bytes, ReadOnlySpan<int> members, nint stream)
    {
        if (bytes == 0) return;
        ulong Block(ulong data, int i) => data + (ulong)i * (ulong)bytes;
        var (own, count) = (members.IndexOf(Rank), members.Length);
        device.CopyOnDevice(Block(receive, own), Block(send, own), bytes, stream);
        var (sends, receives) = (new Transfer[count - 1], new Transfer[count - 1]);
        for (var step = 1; step < count; step++)
        {
            int to = (own + step) % count, from = (own + count - step) % count;
            (sends[step - 1], receives[step - 1]) =
                (new(members[to], Block(send, to), bytes), new(members[from], Block(receive, from), bytes));
        }
        Exchange(sends, receives, stream);
    }

    /// <summary>Sends and receives at the same time. Each transfer has its counterpart on another rank.</summary>
    public void Exchange(ReadOnlySpan<Transfer> sends, ReadOnlySpan<Transfer> receives, nint stream)
    {
        if (sends.IsEmpty && receives.IsEmpty) return;
        Enter(stream);
        Check(nccl.groupStart(), "ncclGroupStart");
        try
        {
            foreach (var t in sends)
                Check(nccl.send(t.Data, (nuint)t.Bytes, Bytes, t.Rank, handle, stream), "ncclSend");
            foreach (var t in receives)
                Check(nccl.receive(t.Data, (nuint)t.Bytes, Bytes, t.Rank, handle, stream), "ncclRecv");
        }
        catch
        {
            _ = nccl.groupEnd();        // it must not stay open; what it sends cannot be used
            throw;
        }
        Check(nccl.groupEnd(), "ncclGroupEnd");
    }

    /// <summary>Gives every rank the blocks of all ranks, in place.</summary>
    /// <param name="data">[Size, bytes]; block Rank is set.</param>
    /// <param name="bytes">Size of a block.</param>
    public void AllGather(ulong data, long bytes, nint stream)
    {
        if (bytes == 0) return;
        Enter(stream);
        Check(nccl.allGather(data + (ulong)Rank * (ulong)bytes, data, (nuint)bytes, Bytes, handle, stream),
            "ncclAllGather");
    }

    /// <summary>Copies the bytes of one rank to all others.</summary>
    public void Broadcast(ulong data, long bytes, int root, nint stream)
    {
        if (bytes == 0) return;
        Enter(stream);
        Check(nccl.broadcast(data, data, (nuint)bytes, Bytes, root, handle, stream), "ncclBroadcast");
    }

    /// <summary>Sends bytes to a rank, which calls <see cref="Receive"/>.</summary>
    public void Send(ulong data, long bytes, int to, nint stream)
    {
        if (bytes == 0) return;
        Enter(stream);
        Check(nccl.send(data, (nuint)bytes, Bytes, to, handle, stream), "ncclSend");
    }

    public void Receive(ulong data, long bytes, int from, nint stream)
    {
        if (bytes == 0) return;
        Enter(stream);
        Check(nccl.receive(data, (nuint)bytes, Bytes, from, handle, stream), "ncclRecv");
    }

    /// <summary>Replaces each number by its sum, maximum or minimum over the ranks.</summary>
    public void Reduce(ulong numbers, long count, NcclInteger type, NcclReduction reduction, nint stream)
    {
        if (count == 0) return;
        Enter(stream);
        Check(nccl.allReduce(numbers, numbers, (nuint)count, (int)type, (int)reduction, handle, stream),
            "ncclAllReduce");
    }

    /// <summary>Returns the error that NCCL found in the background; null for none. Any thread may call it.</summary>
    public string? AsyncError()
    {
        lock (gate)
        {
            if (handle == 0) return null;
            int error = 0;
            var result = nccl.asyncError(handle, &error);
            if (result == 0 && error == 0) return null;
            failed = true;
            return result != 0 ? nccl.Describe(result, "ncclCommGetAsyncError", handle)
                : nccl.Describe(error, "an operation", handle);
        }
    }

    /// <summary>Ends the communicator without waiting for other ranks, which then fail. Any thread may call
    /// it.</summary>
    public void Abort()
    {
        if (Take() is not 0 and var taken) _ = nccl.abort(taken);
    }

    /// <summary>Ends the communicator after its operations. Ends it at once if NCCL has reported an error; other ranks
    /// then fail. It does not throw.</summary>
    public void Dispose()
    {
        _ = AsyncError();
        if (Take() is not (not 0 and var taken)) return;
        device.Leave();
        device.Announce(true);
        _ = failed ? nccl.abort(taken) : nccl.destroy(taken);
        device.Announce(false);
    }

    nint Take()
    {
        lock (gate)
        {
            var taken = handle;
            handle = 0;
            return taken;
        }
    }

    void Enter(nint stream)
    {
        if (handle == 0) throw new SaeException("the communicator of the devices has ended", null, SaeErrorKind.Device);
        device.Enter(stream);
    }

    void Check(int result, string call)
    {
        if (result == 0) return;
        failed = true;
        nccl.Check(result, call, handle);
    }
}

/// <summary>Bytes that go to a rank, or come from one.</summary>
readonly record struct Transfer(int Rank, ulong Data, long Bytes);

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
