using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using CudaSae.Devices;
using CudaSae.Distributed;

namespace CudaSae.Backends;

/// <summary>Ranks that are processes, over NCCL, for launchers without MPI. Data of the host pass through a small
/// buffer in page-locked memory and one on the device, piece by piece.</summary>
/// <remarks>A call first waits for all work of the device in this process: NCCL does not permit that operations of two
/// groups of the same devices run at the same time, and the kernels use a separate group.</remarks>
sealed unsafe class NcclCollective : ICollective
{
    const int LargestPiece = 1 << 20;
    static readonly TimeSpan AbortLimit = TimeSpan.FromSeconds(2), JoinPause = TimeSpan.FromSeconds(1);

    readonly IDevice device;
    readonly Owned owned;
    [SuppressMessage("Usage", "CA2213", Justification = "It is one of the owned resources.")]
    readonly NcclCommunicator link;
    readonly Action<int> end;
    readonly nint stream;
    readonly ulong sent, received;          // [piece] on the device
    readonly byte* staging;                 // [piece] on the host
    readonly int piece;

    /// <summary>Joins the ranks; returns when all have joined.</summary>
    /// <param name="device">The device of this rank. It is owned, and disposed if the ranks cannot be joined.</param>
    /// <param name="place">The place of this process.</param>
    /// <param name="address">The address at which rank 0 waits, host:port.</param>
    public NcclCollective(IDevice device, RankEnvironment place, string address)
        : this(device, () => Join(device, place, address), place.LocalSize, LargestPiece, NativeProcess.Exit) { }

    /// <param name="join">Joins the device to those of the other ranks.</param>
    /// <param name="localSize">Number of ranks on this machine; 0 if it is not known.</param>
    /// <param name="piece">Bytes of a piece, a multiple of 8 and of 8 bytes a rank or more.</param>
    /// <param name="end">Ends this process with an exit code.</param>
    internal NcclCollective(IDevice device, Func<NcclCommunicator> join, int localSize, int piece, Action<int> end)
    {
        (this.device, this.piece, this.end, owned) = (device, piece, end, new(device));
        owned.Add(device);
        try
        {
            stream = owned.Stream();
            (sent, received) = (owned.Memory(piece), owned.Memory(piece));
            staging = (byte*)owned.Pinned(piece);
            link = owned.Add(join());
            LocalSize = localSize > 0 ? localSize : RanksHere();
        }
        catch
        {
            owned.Dispose();
            throw;
        }
    }

    public int Rank => link.Rank;
    public int Size => link.Size;
    public int LocalSize { get; }
    public bool WaitsForDevice => true;
    public string Description => $"{Size} over NCCL, {LocalSize} on this machine";

    /// <summary>Joins the group of an address. The variable serves one group, so it is removed afterwards.</summary>
    static NcclCommunicator Join(IDevice device, RankEnvironment place, string address)
    {
        _ = NativeProcess.SetVariable(RootAddress.NcclVariable, address, overwrite: 1);
        try
        {
            var clock = Stopwatch.StartNew();
            while (true)
                try { return device.Connect(device.NewNcclId(), place.Rank, place.Size); }
                // NCCL waits for rank 0 for some seconds only.
                catch (CudaException e) when (e.IsOfNetwork && place.Rank > 0 && clock.Elapsed < Watchdog.Long)
                {
                    Thread.Sleep(JoinPause);
                }
        }
        catch (SaeException e)
        {
            throw new SaeException($"{place.Launcher} started {place.Size} ranks, but they cannot be joined by NCCL at "
                + $"{address}: {e.Message}", e, e.Kind);
        }
        finally { _ = NativeProcess.RemoveVariable(RootAddress.NcclVariable); }
    }

    int RanksHere()
    {
        var machines = Machine.OfRanks(this);
        return machines.Count(other => other == machines[Rank]);
    }

    public void AllToAll(void* send, void* receive, long bytes)
    {
        long most = piece / Size;
        for (var at = 0L; at < bytes; at += most)
        {
            var part = Math.Min(most, bytes - at);
            for (var p = 0; p < Size; p++) Copy((byte*)send + p * bytes + at, staging + p * part, part);
            ToDevice(sent, part * Size);
            link.AllToAll(sent, received, part, stream);
            ToHost(received, part * Size);
            for (var p = 0; p < Size; p++) Copy(staging + p * part, (byte*)receive + p * bytes + at, part);
        }
    }

    public void AllGather(void* data, ReadOnlySpan<long> starts)
    {
        long most = piece / Size, longest = 0;
        for (var p = 0; p < Size; p++) longest = Math.Max(longest, starts[p + 1] - starts[p]);
        for (var at = 0L; at < longest; at += most)
        {
            var part = Math.Min(most, longest - at);        // a shorter rank fills up its block
            Copy((byte*)data + starts[Rank] + at, staging + Rank * part, Own(starts, Rank, at, part));
            ToDevice(sent, part * Size);
            link.AllGather(sent, part, stream);
            ToHost(sent, part * Size);
            for (var p = 0; p < Size; p++)
                if (p != Rank) Copy(staging + p * part, (byte*)data + starts[p] + at, Own(starts, p, at, part));
        }

        static long Own(ReadOnlySpan<long> starts, int rank, long at, long part) =>
            Math.Clamp(starts[rank + 1] - starts[rank] - at, 0, part);
    }

    public void Broadcast(void* data, long bytes, int root)
    {
        for (var at = 0L; at < bytes; at += piece)
        {
            var part = Math.Min(piece, bytes - at);
            if (Rank == root)
            {
                Copy((byte*)data + at, staging, part);
                ToDevice(sent, part);
            }
            else Settle();
            link.Broadcast(sent, part, root, stream);
            ToHost(sent, part);
            if (Rank != root) Copy(staging, (byte*)data + at, part);
        }
    }

    public void Send(void* data, long bytes, int to)
    {
        for (var at = 0L; at < bytes; at += piece)
        {
            var part = Math.Min(piece, bytes - at);
            Copy((byte*)data + at, staging, part);
            ToDevice(sent, part);
            link.Send(sent, part, to, stream);
            device.Synchronize(stream);
        }
    }

    public void Receive(void* data, long bytes, int from)
    {
        for (var at = 0L; at < bytes; at += piece)
        {
            var part = Math.Min(piece, bytes - at);
            Settle();
            link.Receive(received, part, from, stream);
            ToHost(received, part);
            Copy(staging, (byte*)data + at, part);
        }
    }

    public void Sum(Span<long> numbers) => Combine(numbers, NcclInteger.Int64, NcclReduction.Sum);

    public void Sum(Span<int> numbers) => Combine(numbers, NcclInteger.Int32, NcclReduction.Sum);

    public void Max(Span<long> numbers) => Combine(numbers, NcclInteger.Int64, NcclReduction.Max);

    void Combine<T>(Span<T> numbers, NcclInteger type, NcclReduction reduction) where T : unmanaged
    {
        for (var rest = numbers; rest.Length > 0;)
        {
            var count = Math.Min(rest.Length, piece / sizeof(T));
            rest[..count].CopyTo(new(staging, count));
            ToDevice(sent, (long)count * sizeof(T));
            link.Reduce(sent, count, type, reduction, stream);
            ToHost(sent, (long)count * sizeof(T));
            new ReadOnlySpan<T>(staging, count).CopyTo(rest);
            rest = rest[count..];
        }
    }

    public void Barrier() => this.Sum(1);

    /// <summary>Returns an error of another rank or of the network that NCCL found in the background; null for none.
    /// Any thread may call it.</summary>
    public string? Fault() => link.AsyncError();

    /// <summary>Waits for all work of the device.</summary>
    void Settle() => device.SynchronizeAll();

    void ToDevice(ulong to, long bytes)
    {
        Settle();
        device.CopyToDevice(to, staging, bytes, stream);
    }

    void ToHost(ulong from, long bytes)
    {
        device.CopyToHost(staging, from, bytes, stream);
        device.Synchronize(stream);
    }

    static void Copy(byte* from, byte* to, long bytes) => Buffer.MemoryCopy(from, to, bytes, bytes);

    /// <summary>Ends the process. The abort of NCCL may wait for other ranks, so it has a limit.</summary>
    public void Abort(int exitCode)
    {
        var abort = new Thread(() => Owned.Try(link.Abort)) { IsBackground = true, Name = "abort of NCCL" };
        abort.Start();
        abort.Join(AbortLimit);
        end(exitCode);
    }

    public void Dispose() => owned.Dispose();
}
