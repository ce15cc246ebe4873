using System.Collections;
using System.Globalization;

namespace CudaSae.Distributed;

/// <summary>The place of a process among the processes of a launcher, from the environment of the process.</summary>
/// <param name="Launcher">Name of the launcher, as a user types it.</param>
/// <param name="Rank">Number of this process, from 0.</param>
/// <param name="Size">Number of processes.</param>
/// <param name="LocalRank">Number of this process among those of its machine, from 0.</param>
/// <param name="LocalSize">Number of processes on this machine; 0 if the launcher does not state it.</param>
sealed record RankEnvironment(string Launcher, int Rank, int Size, int LocalRank, int LocalSize)
{
    public const string OpenMpi = "mpirun", Hydra = "mpiexec", Slurm = "srun", Torchrun = "torchrun",
        Kubernetes = "Kubernetes";

    /// <summary>Whether the launcher starts processes that find each other through MPI.</summary>
    public bool StartsMpi => Launcher is OpenMpi or Hydra or Slurm;

    /// <summary>The environment of this process.</summary>
    public static IReadOnlyDictionary<string, string> OfProcess { get; } =
        Environment.GetEnvironmentVariables().Cast<DictionaryEntry>()
            .ToDictionary(entry => (string)entry.Key, entry => (string?)entry.Value ?? "");

    /// <summary>Variable with the number of ranks of a Kubernetes job, or <see cref="Off"/> for processes that are
    /// alone.</summary>
    public const string RanksVariable = "CUDASAE_RANKS", Off = "off";

    /// <summary>Returns the place that the variables state; null without a launcher.</summary>
    /// <exception cref="SaeException">The variables contradict each other, or state the number of a machine instead of
    /// a process.</exception>
    public static RankEnvironment? Of(IReadOnlyDictionary<string, string> variables)
    {
        if (variables.GetValueOrDefault(RanksVariable) == Off) return null;
        var read = new Variables(variables);
        var mpi = read.OpenMpi() ?? read.Hydra() ?? read.Slurm();
        // Scripts set the variables of torchrun from those of mpirun or srun, so equal places are one launcher.
        var torch = read.Torchrun(nodesAreRanks: mpi is null);
        var found = torch is not null && (torch.Rank, torch.Size) != (mpi?.Rank, mpi?.Size) ? torch
            : mpi ?? read.Kubernetes();
        if (found is { } place && (place.Size < 1 || place.Rank < 0 || place.Rank >= place.Size))
            throw new SaeException($"{place.Launcher} states rank {place.Rank} of {place.Size} ranks; "
                + "the ranks are counted from 0");
        return found;
    }

    readonly struct Variables(IReadOnlyDictionary<string, string> all)
    {
        readonly IReadOnlyDictionary<string, string> all = all;

        /// <summary>mpirun of Open MPI 4 and 5.</summary>
        public RankEnvironment? OpenMpi() =>
            Has("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")
                ? new(RankEnvironment.OpenMpi, Number("OMPI_COMM_WORLD_RANK"), Number("OMPI_COMM_WORLD_SIZE"),
                    Number("OMPI_COMM_WORLD_LOCAL_RANK", 0), Number("OMPI_COMM_WORLD_LOCAL_SIZE", 0))
                : null;

        /// <summary>mpiexec of MPICH, Intel MPI and their relatives. srun --mpi=pmi2 sets the same variables.</summary>
        public RankEnvironment? Hydra() =>
            Has("PMI_RANK", "PMI_SIZE") && Slurm() is var step
                && (step?.Rank, step?.Size) != (Number("PMI_RANK"), Number("PMI_SIZE"))
                ? new(RankEnvironment.Hydra, Number("PMI_RANK"), Number("PMI_SIZE"), Number("MPI_LOCALRANKID", 0),
                    Number("MPI_LOCALNRANKS", 0))
                : null;

        /// <summary>A step of srun. The script of a batch job has SLURM_NTASKS, but is one process.</summary>
        public RankEnvironment? Slurm() =>
            Has("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")
                ? new(RankEnvironment.Slurm, Number("SLURM_PROCID"), Number("SLURM_STEP_NUM_TASKS"),
                    Number("SLURM_LOCALID", 0), TasksOfNode(Number("SLURM_NODEID", 0)))
                : null;

        /// <summary>torchrun, and operators that set its variables.</summary>
        /// <param name="nodesAreRanks">Whether to refuse RANK without LOCAL_RANK.</param>
        public RankEnvironment? Torchrun(bool nodesAreRanks)
        {
            if (!Has("RANK", "WORLD_SIZE")) return null;
            if (Has("LOCAL_RANK"))
                return new(RankEnvironment.Torchrun, Number("RANK"), Number("WORLD_SIZE"), Number("LOCAL_RANK"),
                    Number("LOCAL_WORLD_SIZE", 0));
            return nodesAreRanks && Number("WORLD_SIZE") > 1
                ? throw new SaeException("RANK and WORLD_SIZE are set without LOCAL_RANK: some operators number the "
                    + "machines with them, not the processes; start the processes with a launcher on each machine, or "
                    + $"set {RanksVariable}={Off} for a run on this machine alone")
                : null;
        }

        /// <summary>A pod of an Indexed Job. The job states its index only, so the number of ranks comes from its
        /// manifest.</summary>
        public RankEnvironment? Kubernetes()
        {
            if (!Has("JOB_COMPLETION_INDEX", RanksVariable)) return null;
            var (local, locals) = (Number("CUDASAE_LOCAL_RANK", 0), Number("CUDASAE_LOCAL_RANKS", 1));
            return new(RankEnvironment.Kubernetes, Number("JOB_COMPLETION_INDEX") * locals + local,
                Number(RanksVariable), local, locals);
        }

        bool Has(params ReadOnlySpan<string> names)
        {
            foreach (var name in names)
                if (!all.TryGetValue(name, out var text) || text.Length == 0) return false;
            return true;
        }

        int Number(string name, int? absent = null) =>
            !Has(name) && absent is { } none ? none
            : int.TryParse(all[name], NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number
            : throw new SaeException($"{name} = {all[name]} is not a number of the launcher; unset it, or set "
                + $"{RanksVariable}={Off}");

        /// <summary>Reads a list such as 2(x3),1: three machines with two tasks each, then one with one task.</summary>
        int TasksOfNode(int node)
        {
            if (!Has("SLURM_STEP_TASKS_PER_NODE")) return 0;
            foreach (var part in all["SLURM_STEP_TASKS_PER_NODE"].Split(','))
            {
                var words = part.Split("(x");
                if (!int.TryParse(words[0], out var tasks)) return 0;
                var nodes = words.Length > 1 && int.TryParse(words[1].TrimEnd(')'), out var many) ? many : 1;
                if (node < nodes) return tasks;
                node -= nodes;
            }
            return 0;
        }
    }
}
