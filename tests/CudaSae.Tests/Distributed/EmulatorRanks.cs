using CudaSae.Devices;
using CudaSae.Distributed;

namespace CudaSae.Tests;

/// <summary>One rank of <see cref="EmulatorRanks"/>.</summary>
/// <param name="Collective">Its member of the group on the host.</param>
/// <param name="Emulator">Its copy of the emulator's library.</param>
sealed record EmulatedRank(ICollective Collective, Emulator Emulator, (int Major, int Minor) Capability)
{
    public int Rank => Collective.Rank;
    public int Size => Collective.Size;

    /// <summary>Opens the rank's device.</summary>
    public CudaDevice OpenDevice() => CudaDevice.OpenEmulator(Emulator.Path, Capability);

    /// <summary>Joins the devices of all ranks.</summary>
    public NcclCommunicator Connect(IDevice device)
    {
        var id = Rank == 0 ? device.NewNcclId() : new byte[Nccl.IdBytes];
        unsafe
        {
            fixed (byte* bytes = id) Collective.Broadcast(bytes, id.Length, 0);
        }
        return device.Connect(id, Rank, Size);
    }
}

/// <summary>Runs the ranks of a run as threads of the test, each with its own emulated device. A library of the
/// emulator holds one device, so each rank loads its own copy of the file. A test that uses it belongs to the
/// collection "emulator".</summary>
static class EmulatorRanks
{
    public const int Most = 8;

    /// <summary>Seconds that an emulated operation waits for another rank.</summary>
    public const double PeerLimit = 20;

    static readonly Lazy<TemporaryFolder> folder = new(() =>
    {
        var made = new TemporaryFolder();
        AppDomain.CurrentDomain.ProcessExit += (_, _) => made.Dispose();
        return made;
    });
    static readonly Emulator?[] emulators = new Emulator?[Most];

    /// <summary>Runs the work once for each rank, and returns the results in the order of the ranks. The first
    /// exception ends the host's collectives of all ranks, and is thrown.</summary>
    /// <param name="seed">Schedule of the emulator; each rank has another one, unless it is 0.</param>
    /// <param name="machineSize">Ranks that act as those of one machine; 0 for all.</param>
    public static T[] Run<T>(int ranks, (int Major, int Minor) capability, ulong seed, Func<EmulatedRank, T> work,
        int machineSize = 0)
    {
        var own = Enumerable.Range(0, ranks).Select(rank => Prepare(rank, seed)).ToArray();
        return RankThreads.Run(ranks, collective =>
            work(new(collective, own[collective.Rank], capability)), machineSize);
    }

    /// <inheritdoc cref="Run{T}(int, ValueTuple{int, int}, ulong, Func{EmulatedRank, T}, int)"/>
    public static void Run(int ranks, (int Major, int Minor) capability, ulong seed, Action<EmulatedRank> work,
        int machineSize = 0) =>
        Run<object?>(ranks, capability, seed, rank =>
        {
            work(rank);
            return null;
        }, machineSize);

    static Emulator Prepare(int rank, ulong seed)
    {
        Targets.BeforeEmulator();
        if (emulators[rank] is not { } emulator)
        {
            var copy = folder.Value[$"rank{rank}.so"];
            File.Copy(Emulator.FindLibrary()!, copy);
            emulators[rank] = emulator = new(copy);
        }
        emulator.Forgive();
        emulator.FailAt(ulong.MaxValue);
        emulator.SetPeerLimit(PeerLimit);
        emulator.SetSeed(seed == 0 ? 0 : seed + 1000 * (ulong)rank);
        return emulator;
    }
}
