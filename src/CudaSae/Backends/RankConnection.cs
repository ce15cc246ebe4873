using CudaSae.Distributed;

namespace CudaSae.Backends;

/// <summary>Connects the ranks of a run: by MPI if the launcher starts processes for MPI, otherwise by NCCL, which
/// connects devices of the kernels.</summary>
static class RankConnection
{
    /// <summary>Returns the ranks that a launcher started.</summary>
    /// <param name="place">The place of this process (<see cref="Ranks.Place"/>).</param>
    /// <param name="kind">The backend of the run. A launcher without MPI is for kernels.</param>
    /// <exception cref="SaeException">MPI is not installed or its library does not belong to the launcher, or the
    /// launcher needs devices that this process does not have.</exception>
    public static ICollective Open(RankEnvironment place, BackendKind kind)
    {
        var variables = RankEnvironment.OfProcess;
        var why = "";
        if (UsesMpi(place, variables))
        {
            if (Ranks.TryMpi(place, out why) is { } ranks)
            {
                // With the variable, NCCL would give all groups of devices one address.
                _ = NativeProcess.RemoveVariable(RootAddress.NcclVariable);
                return ranks;
            }
            if (place.Launcher != RankEnvironment.Slurm) throw Refused(why);
        }
        return OverDevices(place, variables, kind, why);
    }

    /// <summary>Returns whether to try MPI. srun without a PMI starts processes that MPI cannot join, and some
    /// libraries end such a process.</summary>
    internal static bool UsesMpi(RankEnvironment place, IReadOnlyDictionary<string, string> variables) =>
        place.StartsMpi && (place.Launcher != RankEnvironment.Slurm || variables.ContainsKey(MpiLibrary.Variable)
            || variables.Keys.Any(name => name.StartsWith("PMI", StringComparison.Ordinal)));

    /// <summary>Joins the devices of all ranks, which then carry the data of the host too.</summary>
    /// <param name="why">Why MPI cannot be used; empty if the launcher does not start processes for it.</param>
    static NcclCollective OverDevices(RankEnvironment place, IReadOnlyDictionary<string, string> variables,
        BackendKind kind, string why)
    {
        var chosen = RankDevice.Chosen(kind, place, out var noGpu);
        if (chosen == BackendKind.Cpu)
            throw Refused((why.Length > 0 ? $"{why}; without MPI, srun"
                    : $"{place.Launcher} started {place.Size} ranks: {place.Launcher}"
                        + (place.StartsMpi ? " without mpi=pmi2 or mpi=pmix" : ""))
                + " connects GPUs only, by NCCL" + (noGpu.Length > 0 ? $" ({noGpu})" : "") + "; start ranks on the CPU "
                + $"with mpirun or srun, or set {RankEnvironment.RanksVariable}={RankEnvironment.Off} for separate "
                + "runs");
        var address = RootAddress.Of(place, variables);
        var device = RankDevice.Open(chosen, place);
        return new(device, place, address);
    }

    static SaeException Refused(string why) => new(why, kind: SaeErrorKind.Device);
}
