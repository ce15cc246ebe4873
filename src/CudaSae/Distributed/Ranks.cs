namespace CudaSae.Distributed;

/// <summary>Whether the processes of a launcher train one SAE together.</summary>
enum RankMode
{
    /// <summary>Under a launcher, they do.</summary>
    Auto,
    /// <summary>Every process is alone.</summary>
    Off,
}

/// <summary>Connects the ranks of a run by MPI.</summary>
static class Ranks
{
    /// <summary>Returns the place of this process among those that a launcher started; null for one process.</summary>
    /// <exception cref="SaeException">The environment is contradictory.</exception>
    public static RankEnvironment? Place(RankMode mode) =>
        mode == RankMode.Off ? null : RankEnvironment.Of(RankEnvironment.OfProcess) is { Size: > 1 } place ? place
        : null;

    /// <summary>Returns the ranks of a launcher that starts processes for MPI.</summary>
    /// <exception cref="SaeException">MPI is not installed, or its library does not belong to the launcher.</exception>
    public static ICollective OpenMpi(RankEnvironment place) =>
        TryMpi(place, out var why) ?? throw new SaeException(why, kind: SaeErrorKind.Device);

    /// <summary>Returns the ranks; null and the reason if MPI is not installed, or its library does not belong to the
    /// launcher.</summary>
    public static ICollective? TryMpi(RankEnvironment place, out string why)
    {
        why = "";
        var started = $"{place.Launcher} started {place.Size} ranks";
        if (MpiLibrary.TryLoad(MpiLibrary.NamesFor(RankEnvironment.OfProcess), out var missing) is not { } library)
        {
            why = $"{started}, but MPI cannot be loaded: {missing}";
            return null;
        }
        var ranks = new MpiCollective(library, place.LocalSize);
        if (ranks.Size == place.Size) return ranks;
        why = $"{started}, but {library.File} ({library.Version}) finds {ranks.Size}: "
            + $"name the library of this launcher in {MpiLibrary.Variable}"
            + (place.Launcher == RankEnvironment.Slurm ? ", or give srun the option mpi=pmix or mpi=pmi2" : "");
        ranks.Dispose();
        return null;
    }
}
