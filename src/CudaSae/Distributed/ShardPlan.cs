using CudaSae.Model;

namespace CudaSae.Distributed;

/// <summary>The share of one rank in a run on several ranks: a contiguous range of the latents. Every rank has all rows
/// of a batch, and its own latents' weights, moments and counters; b_dec and a skip connection are on every
/// rank.</summary>
sealed class ShardPlan
{
    readonly LatentCut cut;

    /// <summary>Divides the latents. Every rank calls it.</summary>
    /// <exception cref="SaeException">The latents cannot be divided among the ranks, or the method does not have this
    /// order of sums.</exception>
    public ShardPlan(ICollective collective, SaeSpec spec, SumOrder order = SumOrder.Chain)
    {
        (Collective, Spec, Order) = (collective, spec, order);
        if (order == SumOrder.Fixed && spec.IsThresholded)
            throw new SaeException($"the order of sums fixed needs a bound of each row's sum before the row is added, "
                + $"which {spec.Selection.GetType().Name} does not give on the dense path; use chain or ordered");
        cut = LatentCut.For(spec, collective.Size, order);
        Span<long> extremes = [collective.LocalSize, -collective.LocalSize];
        collective.Max(extremes);
        var machines = Machine.OfRanks(collective);
        var uniform = extremes[0] == -extremes[1] && collective.Size % collective.LocalSize == 0
            && Machine.AreConsecutive(machines, collective.LocalSize);
        MachineSize = uniform ? collective.LocalSize : collective.Size;
    }

    public ICollective Collective { get; }

    /// <summary>The spec of the whole SAE.</summary>
    public SaeSpec Spec { get; }

    /// <summary>The order in which the ranks' sums are added.</summary>
    public SumOrder Order { get; }

    /// <summary>Whether each rank reads only its share of the rows of each batch (<see cref="RowStarts"/>). The ranks
    /// exchange the rows at the start of the step.</summary>
    public bool SharedReading { get; init; }

    /// <summary>Number of chunks of the rows of a batch. Devices exchange a chunk while they encode the next one. With
    /// 1 they exchange all rows after encoding.</summary>
    public int RowChunks { get; init; } = 1;

    /// <summary>Ranks on a machine, for <see cref="SumOrder.Ordered"/>; all ranks if machines have different
    /// numbers of ranks, or ranks whose numbers are not consecutive.</summary>
    public int MachineSize { get; }

    public int Rank => Collective.Rank;
    public int Ranks => Collective.Size;

    /// <summary>Whether this is rank 0, which writes the files and the messages that are not of one rank.</summary>
    public bool IsRoot => Rank == 0;

    /// <summary>Size of the matrices of a finished SAE above which several ranks write it in pieces.</summary>
    public const long MaxFileBytes = 50_000_000_000;

    /// <summary>Returns whether each rank writes its latents of the finished SAE as one piece, because a file of all
    /// latents would be too large.</summary>
    /// <param name="limit">The largest size of the encoder and the decoder in one file.</param>
    public bool SavesPieces(long limit = MaxFileBytes) =>
        Ranks > 1 && (long)sizeof(float) * Spec.Latents * (Spec.InputWidth + Spec.OutputWidth) > limit;

    public bool IsLast => Rank == Ranks - 1;

    /// <summary>The first latent of this rank.</summary>
    public int First => cut.First(Rank);

    /// <summary>Number of latents of this rank.</summary>
    public int Count => cut.First(Rank + 1) - First;

    /// <summary>The first part of this rank (<see cref="LatentCut.Parts"/>).</summary>
    public int FirstPart => cut.FirstPart(Rank);

    /// <summary>Number of parts of this rank.</summary>
    public int Parts => cut.FirstPart(Rank + 1) - FirstPart;

    /// <summary>The first latent of a rank; of <see cref="Ranks"/>, the number of latents.</summary>
    public int FirstOf(int rank) => cut.First(rank);

    /// <summary>The rank that holds a latent.</summary>
    public int RankOf(int latent) => cut.RankOf(latent);

    /// <summary>[Ranks + 1] The first row of each rank's share of a batch.</summary>
    /// <param name="rows">B.</param>
    /// <param name="size">Size of one row.</param>
    public long[] RowStarts(int rows, long size = 1) =>
        [.. Enumerable.Range(0, Ranks + 1).Select(rank => size * ((long)rows * rank / Ranks))];

    /// <summary>[Ranks + 1] The places of blocks of one size.</summary>
    public long[] EqualStarts(long size) => [.. Enumerable.Range(0, Ranks + 1).Select(rank => rank * size)];

    /// <summary>[Ranks + 1] The places of the ranks' latents in an array of all latents.</summary>
    /// <param name="size">Size of one latent.</param>
    public long[] LatentStarts(long size = 1) =>
        [.. Enumerable.Range(0, Ranks + 1).Select(rank => size * cut.First(rank))];

    /// <summary>[Ranks + 1] The places of the ranks' parts in an array of all parts.</summary>
    /// <param name="size">Size of one part.</param>
    public long[] PartStarts(long size = 1) =>
        [.. Enumerable.Range(0, Ranks + 1).Select(rank => size * cut.FirstPart(rank))];
}
