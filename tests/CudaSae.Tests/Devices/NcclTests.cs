using System.Runtime.InteropServices;
using CudaSae.Devices;

namespace CudaSae.Tests;

/// <summary>The operations of <see cref="NcclCommunicator"/>, between emulated devices, against plain
/// computations.</summary>
[Collection("emulator")]
public unsafe class NcclTests
{
    static readonly int[] sizes = [1, 7, 4096, 65_537, 200_003];

    [Theory]
    [InlineData(2708, 2, 7, 8)]
    [InlineData(2804, 2, 8, 4)]
    [InlineData(20905, 2, 9, 5)]
    [InlineData(22203, 2, 22, 3)]
    public void VersionsAreReadInBothForms(int number, int major, int minor, int patch) =>
        Assert.Equal((major, minor, patch), Nccl.Split(number));

    [Fact]
    public void AMissingLibraryIsRefusedWithTheRemedy()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "NCCL exists on Linux only");
        Assert.Null(Nccl.TryVersion("/nowhere/libnccl.so.2", out var why));
        Assert.Equal("CUDASAE_NCCL names /nowhere/libnccl.so.2, which cannot be loaded; it must name NCCL's library, "
            + "such as libnccl.so.2", why);
        Assert.Null(Nccl.TryVersion("libc.so.6", out why));
        Assert.Equal("libc.so.6 lacks ncclGetVersion: it is not NCCL 2.7 or newer; update NCCL", why);
        if (Nccl.TryVersion("", out why) is { } installed) Assert.Matches(@"^2\.\d+\.\d+, libnccl", installed);
        else Assert.StartsWith("NCCL (libnccl.so.2) was not found; it is needed for several GPUs: install", why);
    }

    [Fact]
    public void TheLibraryNeedsNoDeviceForItsVersion()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        Assert.Equal($"2.22.3, {Targets.Emulator.Path}", Nccl.TryVersion(Targets.Emulator.Path, out var why));
        Assert.Equal("", why);
    }

    /// <summary>Copies of the library share no state, also none of a thread.</summary>
    [Fact]
    public void EachRankHasItsOwnDevice()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var emulators = EmulatorRanks.Run(2, (8, 0), 0, rank => rank.Emulator);
        using var device = CudaDevice.OpenEmulator(emulators[0].Path);
        var memory = device.Allocate(100);
        emulators[0].FailNext("cuStreamCreate", 2);
        Assert.Equal((1ul, 1ul), (emulators[0].LiveAllocations, emulators[0].LiveHandles));
        Assert.Equal((0ul, 0ul), (emulators[1].LiveAllocations, emulators[1].LiveHandles));
        var other = CudaDriver.Open(emulators[1].Path);
        ulong taken;
        Assert.Equal(0, other.init(0));
        Assert.Equal(201, other.allocate(&taken, 100));     // this thread has a context of the first copy alone
        using (var second = CudaDevice.OpenEmulator(emulators[1].Path)) second.DestroyStream(second.CreateStream());
        Assert.Throws<CudaException>(() => device.CreateStream());
        device.Free(memory);
    }

    static byte Value(int rank, int place, int round) => (byte)(rank * 31 + place * 7 + place / 251 + round * 13 + 1);

    static byte[] Bytes(int rank, int length, int round) =>
        [.. Enumerable.Range(0, length).Select(i => Value(rank, i, round))];

    static byte[] Read(IDevice device, ulong from, long bytes, nint stream)
    {
        var read = new byte[bytes];
        device.Download<byte>(read, from, stream);
        return read;
    }

    /// <summary>Runs the work on each rank; nothing may be left afterwards.</summary>
    static void Rounds(int ranks, ulong seed, Action<Bench> work)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        EmulatorRanks.Run(ranks, (8, 0), seed, rank =>
        {
            using var device = rank.OpenDevice();
            using var bench = new Bench(rank, device);
            work(bench);
        });
        EmulatorRanks.Run(ranks, (8, 0), 0, rank => Assert.Equal((0ul, 0ul),
            (rank.Emulator.LiveAllocations, rank.Emulator.LiveHandles)));
    }

    /// <summary>A rank with a communicator, a stream and two buffers.</summary>
    sealed class Bench : IDisposable
    {
        readonly Owned owned;

        public Bench(EmulatedRank rank, CudaDevice device)
        {
            (Rank, Size, Device) = (rank.Rank, rank.Size, device);
            owned = new(device);
            Communicator = owned.Add(rank.Connect(device));
            Stream = owned.Stream();
            A = owned.Memory((long)Size * sizes[^1]);
            B = owned.Memory((long)Size * sizes[^1]);
        }

        public int Rank { get; }
        public int Size { get; }
        public CudaDevice Device { get; }
        public NcclCommunicator Communicator { get; }
        public nint Stream { get; }
        public ulong A { get; }
        public ulong B { get; }

        /// <summary>Queues the operation once directly, and three times by a graph.</summary>
        public void Repeat(Action<int> set, Action queue, Action<int> check)
        {
            set(0);
            queue();
            check(0);
            Device.BeginCapture(Stream);
            queue();
            var graph = Device.EndCapture(Stream);
            try
            {
                for (var round = 1; round <= 3; round++)
                {
                    set(round);
                    Device.LaunchGraph(graph, Stream);
                    check(round);
                }
            }
            finally { Device.DestroyGraph(graph); }
        }

        public void Dispose() => owned.Dispose();
    }

    public static TheoryData<int, ulong> Groups => new()
    {
        { 1, 0 }, { 2, 0 }, { 2, 5 }, { 3, 7 }, { 4, 0 }, { 4, 11 },
    };

    [Theory]
    [MemberData(nameof(Groups))]
    public void AllToAllExchangesTheBlocks(int ranks, ulong seed) => Rounds(ranks, seed, b =>
    {
        foreach (var bytes in sizes)
            b.Repeat(round => b.Device.Upload<byte>(b.A, Bytes(b.Rank, ranks * bytes, round), b.Stream),
                () => b.Communicator.AllToAll(b.A, b.B, bytes, b.Stream),
                round => Assert.Equal(
                    [.. Enumerable.Range(0, ranks).SelectMany(p => Enumerable.Range(b.Rank * bytes, bytes)
                        .Select(i => Value(p, i, round)))],
                    Read(b.Device, b.B, (long)ranks * bytes, b.Stream)));
    });

    [Theory]
    [MemberData(nameof(Groups))]
    public void AllGatherGivesAllBlocks(int ranks, ulong seed) => Rounds(ranks, seed, b =>
    {
        foreach (var bytes in sizes)
            b.Repeat(
                round => b.Device.Upload<byte>(b.A + (ulong)(b.Rank * bytes), Bytes(b.Rank, bytes, round), b.Stream),
                () => b.Communicator.AllGather(b.A, bytes, b.Stream),
                round => Assert.Equal([.. Enumerable.Range(0, ranks).SelectMany(p => Bytes(p, bytes, round))],
                    Read(b.Device, b.A, (long)ranks * bytes, b.Stream)));
    });

    [Theory]
    [MemberData(nameof(Groups))]
    public void BroadcastCopiesTheRoot(int ranks, ulong seed) => Rounds(ranks, seed, b =>
    {
        foreach (var bytes in sizes)
            for (var root = 0; root < ranks; root++)
                b.Repeat(round => b.Device.Upload<byte>(b.A, Bytes(b.Rank, bytes, round), b.Stream),
                    () => b.Communicator.Broadcast(b.A, bytes, root, b.Stream),
                    round => Assert.Equal(Bytes(root, bytes, round), Read(b.Device, b.A, bytes, b.Stream)));
    });

    /// <summary>Each rank sends to the next one in turn, so that a rank passes on what it has received.</summary>
    [Theory]
    [MemberData(nameof(Groups))]
    public void SendAndReceivePassAlongTheRanks(int ranks, ulong seed) => Rounds(ranks, seed, b =>
    {
        foreach (var bytes in sizes)
            b.Repeat(round => b.Device.Upload<byte>(b.A, Bytes(b.Rank, bytes, round), b.Stream),
                () =>
                {
                    if (b.Rank > 0) b.Communicator.Receive(b.A, bytes, b.Rank - 1, b.Stream);
                    if (b.Rank + 1 < ranks) b.Communicator.Send(b.A, bytes, b.Rank + 1, b.Stream);
                },
                round => Assert.Equal(Bytes(0, bytes, round), Read(b.Device, b.A, bytes, b.Stream)));
    });

    [Theory]
    [MemberData(nameof(Groups))]
    public void ReduceCombinesIntegers(int ranks, ulong seed) => Rounds(ranks, seed, b =>
    {
        foreach (var count in (int[])[1, 5, 20_001])
        {
            Reduced<int>(b, count, NcclInteger.Int32, (r, i) => (i % 17 - 8) * (r + 1) * 1_000_003);
            Reduced<uint>(b, count, NcclInteger.UInt32, (r, i) => (uint)i * 2_654_435_761u + (uint)r * 0x80000001u);
            Reduced<long>(b, count, NcclInteger.Int64, (r, i) => (long)(i % 17 - 8) * (r + 1) * 4_000_000_000_007);
        }
    });

    static void Reduced<T>(Bench b, int count, NcclInteger type, Func<int, int, T> value)
        where T : unmanaged, System.Numerics.IBinaryInteger<T>
    {
        foreach (var reduction in Enum.GetValues<NcclReduction>())
            b.Repeat(
                round =>
                {
                    T[] mine = [.. Enumerable.Range(0, count).Select(i => value(b.Rank, i + round))];
                    b.Device.Upload<T>(b.A, mine, b.Stream);
                },
                () => b.Communicator.Reduce(b.A, count, type, reduction, b.Stream),
                round => Assert.Equal([.. Enumerable.Range(0, count).Select(i => Enumerable.Range(0, b.Size)
                    .Select(r => value(r, i + round)).Aggregate((x, y) => reduction switch
                    {
                        NcclReduction.Sum => unchecked(x + y),
                        NcclReduction.Max => T.Max(x, y),
                        _ => T.Min(x, y),
                    }))], MemoryMarshal.Cast<byte, T>(Read(b.Device, b.A, count * sizeof(T), b.Stream)).ToArray()));
    }
}
