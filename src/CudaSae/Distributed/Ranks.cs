namespace CudaSae.Distributed;

/// <summary>Whether the processes of a launcher train one SAE together.</summary>
enum RankMode
{
    /// <summary>Under a launcher, they do.</summary>
    Auto,
    /// <summary>Every process is alone.</summary>
    Off,
}

/// <summary>Connects the ranks of a run.</summary>
static class Ranks
{
    /// <summary>Returns the ranks that the launcher of this process started; null for one process.</summary>
    /// <exception cref="SaeException">The launcher is not supported yet, MPI is not installed, or its library does not
    /// belong to the launcher.</exception>
    public static ICollective? Open(RankMode mode)
    {
        var variables = RankEnvironment.OfProcess;
        if (mode == RankMode.Off || RankEnvironment.Of(variables) is not { Size: > 1 } place) return null;
        var started = $"{place.Launcher} started {place.Size} ranks";
        if (!place.StartsMpi)
            throw new SaeException($"{started}, which would be GPUs connected by NCCL; this version has ranks on the "
                + "CPU only: start them with mpirun or srun, or set "
                + $"{RankEnvironment.RanksVariable}={RankEnvironment.Off} for separate runs",
                kind: SaeErrorKind.Device);
        var library = MpiLibrary.TryLoad(MpiLibrary.NamesFor(variables), out var why)
            ?? throw new SaeException($"{started}, but MPI cannot be loaded: {why}", kind: SaeErrorKind.Device);
        var ranks = new MpiCollective(library, place.LocalSize);
        return ranks.Size == place.Size ? ranks
            : throw new SaeException($"{started}, but {library.File} ({library.Version}) finds {ranks.Size}: "
                + $"name the library of this launcher in {MpiLibrary.Variable}"
                + (place.Launcher == RankEnvironment.Slurm ? ", or give srun the option mpi=pmix or mpi=pmi2"
                    : ""),
                kind: SaeErrorKind.Device);
    }
}
