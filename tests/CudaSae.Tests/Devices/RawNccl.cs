using CudaSae.Devices;

namespace CudaSae.Tests;

/// <summary>The functions of the emulated NCCL on one rank, without the checks of <see cref="NcclCommunicator"/>, so
/// that a test can break a rule.</summary>
sealed unsafe class RawNccl : IDisposable
{
    public const int Bytes = 0, Int32 = 2, UInt32 = 3, Float32 = 7, Sum = 0, Max = 2;

    readonly Owned owned;
    nint communicator;

    public RawNccl(EmulatedRank rank)
    {
        Rank = rank;
        Device = rank.OpenDevice();
        owned = new(Device);
        Functions = Nccl.Open(CudaDriver.Open(rank.Emulator.Path));
        Stream = owned.Stream();
        A = owned.Memory(Room);
        B = owned.Memory(Room);
    }

    public const int Room = 1 << 16;
    public EmulatedRank Rank { get; }
    public CudaDevice Device { get; }
    public Nccl Functions { get; }
    public nint Stream { get; }
    public ulong A { get; }
    public ulong B { get; }
    public nint Communicator => communicator;

    public nint NewStream() => owned.Stream();
    public ulong NewMemory(long bytes) => owned.Memory(bytes);

    /// <summary>Joins all ranks.</summary>
    public void Join() =>
        Join(Share(Rank.Rank == 0 ? Device.NewNcclId() : new byte[Nccl.IdBytes]), Rank.Size, Rank.Rank);

    public void Join(byte[] id, int size, int rank)
    {
        _ = Device.FreeBytes();     // makes the context current
        Nccl.Id value;
        id.CopyTo(new Span<byte>(&value, Nccl.IdBytes));
        nint made;
        Functions.Check(Functions.join(&made, size, value, rank), "ncclCommInitRank");
        communicator = made;
    }

    byte[] Share(byte[] id)
    {
        fixed (byte* bytes = id) Rank.Collective.Broadcast(bytes, id.Length, 0);
        return id;
    }

    public void Start() => Functions.Check(Functions.groupStart(), "ncclGroupStart");
    public void End() => Functions.Check(Functions.groupEnd(), "ncclGroupEnd");

    public void Send(ulong data, int count, int to, int type = Bytes) =>
        Functions.Check(Functions.send(data, (nuint)count, type, to, communicator, Stream), "ncclSend");

    public void Receive(ulong data, int count, int from, int type = Bytes) =>
        Functions.Check(Functions.receive(data, (nuint)count, type, from, communicator, Stream), "ncclRecv");

    public void AllGather(ulong from, ulong to, int count, nint? stream = null) => Functions.Check(
        Functions.allGather(from, to, (nuint)count, Bytes, communicator, stream ?? Stream), "ncclAllGather");

    public void Broadcast(ulong from, ulong to, int count, int root) => Functions.Check(
        Functions.broadcast(from, to, (nuint)count, Bytes, root, communicator, Stream), "ncclBroadcast");

    public void Reduce(ulong from, ulong to, int count, int type, int reduction = Sum) => Functions.Check(
        Functions.allReduce(from, to, (nuint)count, type, reduction, communicator, Stream), "ncclAllReduce");

    public void Wait() => Device.Synchronize(Stream);

    public byte[] Read(ulong from, int bytes)
    {
        var read = new byte[bytes];
        Device.Download<byte>(read, from, Stream);
        return read;
    }

    public void Destroy() => Functions.Check(Functions.destroy(Take()), "ncclCommDestroy");
    public void Abort() => Functions.Check(Functions.abort(Take()), "ncclCommAbort");

    nint Take()
    {
        var taken = communicator;
        communicator = 0;
        return taken;
    }

    public void Dispose()
    {
        if (communicator != 0) _ = Functions.abort(Take());
        Rank.Emulator.Forgive();
        owned.Dispose();
        Device.Dispose();
    }
}
