using CudaSae.Devices;
using CudaSae.Distributed;

namespace CudaSae.Backends;

/// <summary>Chooses and opens the device of a rank: the GPU with the rank's number on its machine, modulo the number of
/// visible GPUs, so that a launcher may show each process one GPU.</summary>
static class RankDevice
{
    /// <summary>Variable of NCCL that permits ranks to share a GPU.</summary>
    const string SharingVariable = "NCCL_MULTI_RANK_GPU_ENABLE";

    static int LocalRank => Ranks.Place(RankMode.Auto)?.LocalRank ?? 0;

    /// <summary>Returns the kind for this rank before the ranks are connected: for Auto, Cuda if this rank has a GPU,
    /// otherwise Cpu.</summary>
    /// <param name="why">The reason for which Auto does not use the GPU; empty if it does.</param>
    public static BackendKind Chosen(BackendKind kind, RankEnvironment place, out string why)
    {
        why = "";
        if (kind != BackendKind.Auto) return kind;
        TryOpen(place.LocalRank, out why)?.Dispose();
        return why.Length > 0 ? BackendKind.Cpu : BackendKind.Cuda;
    }

    /// <summary>Returns the kind that all ranks use: for Auto, Cuda if every rank has a separate GPU, otherwise Cpu.
    /// All ranks call it.</summary>
    /// <param name="why">One sentence about the choice.</param>
    public static BackendKind Agreed(BackendKind kind, ICollective ranks, out string why)
    {
        why = $"Backend = {kind}";
        if (kind != BackendKind.Auto) return kind;
        var device = TryOpen(LocalRank, out var problem);
        var location = device?.Location ?? -1;
        device?.Dispose();
        var sharing = Sharing(ranks, location);
        if (problem.Length == 0) problem = sharing ?? "";
        var (level, rank) = RankAgreement.Worst(ranks, problem.Length > 0 ? 1 : 0);
        why = level == 0 ? "a GPU is available on every rank"
            : $"no GPU on rank {rank}: {ranks.Broadcast(problem, rank)}";
        return level == 0 ? BackendKind.Cuda : BackendKind.Cpu;
    }

    /// <summary>Opens the device of this rank without kernels, on ranks that are not connected yet.</summary>
    /// <exception cref="SaeException">The device is not available.</exception>
    public static CudaDevice Open(BackendKind kind, RankEnvironment place)
    {
        if (kind == BackendKind.Emulator) return CudaDevice.OpenEmulator(BackendFactory.RequireEmulator());
        if (kind == BackendKind.ManagedCuda) throw NotOfTheEngine();
        var visible = CudaDevice.Count(out _);
        if (visible > 1 && place.LocalSize > visible && !MayShare) throw Shared(place.LocalSize, visible);
        return TryOpen(place.LocalRank, out var why, loadKernels: false) ?? throw CudaDevice.Refused(why);
    }

    /// <summary>Opens the device of this rank. All ranks call it, and all throw if one of them has none.</summary>
    /// <exception cref="SaeException">A rank has no separate device, or NCCL is not installed there.</exception>
    public static CudaDevice Open(BackendKind kind, ICollective ranks)
    {
        CudaDevice? opened = null;
        try
        {
            RankAgreement.Do(ranks, () =>
            {
                if (kind == BackendKind.ManagedCuda) throw NotOfTheEngine();
                opened = kind == BackendKind.Emulator ? CudaDevice.OpenEmulator(BackendFactory.RequireEmulator())
                    : TryOpen(LocalRank, out var why) ?? throw CudaDevice.Refused(why);
            });
            if (kind == BackendKind.Cuda && Sharing(ranks, opened!.Location) is { } shared)
                throw new SaeException(shared, kind: SaeErrorKind.Device);
            return opened!;
        }
        catch
        {
            opened?.Dispose();
            throw;
        }
    }

    static CudaDevice? TryOpen(int localRank, out string why, bool loadKernels = true)
    {
        var visible = CudaDevice.Count(out why);
        if (visible == 0) return null;
        var device = CudaDevice.TryOpen(localRank % visible, out why, loadKernels);
        try { device?.RequireNccl(); }
        catch (SaeException e)
        {
            why = e.Message;
            device!.Dispose();
            return null;
        }
        return device;
    }

    static bool MayShare => Environment.GetEnvironmentVariable(SharingVariable) == "1";

    /// <summary>Returns the reason if ranks of a machine share a GPU, the same on all ranks; otherwise null. All ranks
    /// call it.</summary>
    /// <param name="location">The place of this rank's GPU; negative if it has none.</param>
    static string? Sharing(ICollective ranks, long location)
    {
        var (machines, locations) = (Machine.OfRanks(ranks), ranks.AllGather(location));
        return MayShare ? null : Sharing(machines, locations)?.Message;
    }

    /// <summary>Returns the error of the first machine on which ranks share a GPU; null if there is none.</summary>
    /// <param name="machines">[P] the machine of each rank.</param>
    /// <param name="locations">[P] the place of its GPU; negative if it has none.</param>
    internal static SaeException? Sharing(ReadOnlySpan<long> machines, ReadOnlySpan<long> locations)
    {
        var devices = new Dictionary<long, HashSet<long>>();
        var ranks = new Dictionary<long, int>();
        for (var rank = 0; rank < machines.Length; rank++)
        {
            if (locations[rank] < 0) continue;
            if (!devices.TryGetValue(machines[rank], out var found)) devices[machines[rank]] = found = [];
            found.Add(locations[rank]);
            ranks[machines[rank]] = ranks.GetValueOrDefault(machines[rank]) + 1;
        }
        foreach (var (machine, count) in ranks)
            if (count > devices[machine].Count) return Shared(count, devices[machine].Count);
        return null;
    }

    static SaeException Shared(int ranks, int devices) => new(
        $"{ranks} ranks of a machine would share {devices} {(devices == 1 ? "GPU" : "GPUs")}: start {devices} there, "
            + "or let the launcher give each process a separate GPU", kind: SaeErrorKind.Device);

    static SaeException NotOfTheEngine() => new(
        "several ranks need the engine's own launcher: choose Backend = Cuda", kind: SaeErrorKind.Device);
}
