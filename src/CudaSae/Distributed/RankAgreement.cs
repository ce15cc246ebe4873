namespace CudaSae.Distributed;

/// <summary>Makes an error of one rank an error of all ranks, so that no rank waits for one that has stopped. All ranks
/// call the same method at the same point.</summary>
static class RankAgreement
{
    /// <summary>Runs work on each rank. If a rank refuses it, all ranks throw.</summary>
    /// <param name="ranks">Null for one process.</param>
    /// <exception cref="SaeException">The work was refused on this rank, or on another one, which the message
    /// names.</exception>
    public static void Do(ICollective? ranks, Action work)
    {
        if (ranks is null)
        {
            work();
            return;
        }
        SaeException? own = null;
        try { work(); }
        catch (SaeException e) { own = e; }
        Require(ranks, own);
    }

    /// <summary>Runs work on rank 0. The other ranks wait for it.</summary>
    /// <inheritdoc cref="Do"/>
    public static void OnRoot(ICollective? ranks, Action work) => Do(ranks, () =>
    {
        if (ranks is not { Rank: > 0 }) work();
    });

    /// <summary>Throws on all ranks if one of them has an error.</summary>
    /// <param name="own">The error of this rank; null for none.</param>
    /// <exception cref="SaeException">This rank's error, or that of the lowest rank that has one.</exception>
    public static void Require(ICollective ranks, SaeException? own)
    {
        var (level, rank) = Worst(ranks, own is null ? 0 : 1);
        if (level == 0) return;
        var (message, kind) = (ranks.Broadcast(own?.Message, rank), KindOf(ranks, own, rank));
        throw own ?? new SaeException($"rank {rank}: {message}", kind: kind);
    }

    static SaeErrorKind KindOf(ICollective ranks, SaeException? own, int rank)
    {
        Span<int> kind = [(int)(own?.Kind ?? default)];
        ranks.Broadcast(kind, rank);
        return (SaeErrorKind)kind[0];
    }

    /// <summary>Returns the highest level of all ranks, and the lowest rank that has it.</summary>
    /// <remarks>It may wait for the work of another rank on files, which is a long wait.</remarks>
    /// <param name="level">The level of this rank, 0 or more.</param>
    public static (int Level, int Rank) Worst(ICollective ranks, int level)
    {
        ranks.WaitsLong(true);
        var worst = ranks.Max((long)level * ranks.Size + ranks.Size - 1 - ranks.Rank);
        ranks.WaitsLong(false);
        return ((int)(worst / ranks.Size), ranks.Size - 1 - (int)(worst % ranks.Size));
    }
}
