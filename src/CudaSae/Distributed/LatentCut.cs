using CudaSae.Model;

namespace CudaSae.Distributed;

/// <summary>The cut of the latents into one contiguous range for each rank. A range consists of whole parts: the
/// optimizer adds partial sums by part in the order of the parts, so the sums do not depend on the number of
/// ranks.</summary>
sealed class LatentCut
{
    /// <summary>Parts of the latents, for any number of threads and ranks.</summary>
    public const int Parts = 64;

    /// <summary>Latents of a chunk of the CPU's dense path, which adds a reconstruction chunk by chunk.</summary>
    public const int DenseChunk = 512;

    readonly int latents;
    readonly int[] parts;           // [ranks + 1] first part of each rank

    LatentCut(int latents, int[] parts) => (this.latents, this.parts) = (latents, parts);

    /// <summary>The first latent of a rank; of the rank after the last one, the number of latents.</summary>
    public int First(int rank) => FirstOf(latents, parts[rank]);

    /// <summary>The first part of a rank; of the rank after the last one, the number of parts.</summary>
    public int FirstPart(int rank) => parts[rank];

    /// <summary>The rank that holds a latent.</summary>
    public int RankOf(int latent)
    {
        var rank = 0;
        while (latent >= First(rank + 1)) rank++;
        return rank;
    }

    /// <summary>The first latent of a part.</summary>
    public static int FirstOf(int latents, int part) => (int)((long)latents * part / Parts);

    /// <summary>Parts of a chunk of the dense path.</summary>
    public static int DenseParts(int latents) =>
        Math.Min(Math.Max(1, DenseChunk * Parts / Math.Max(latents, 1)), Parts);

    /// <summary>Cuts the latents of a spec as evenly as its method permits. A chain continues the sums of the dense
    /// path from rank to rank, so a rank then holds whole chunks.</summary>
    /// <exception cref="SaeException">The latents cannot be divided among these ranks.</exception>
    public static LatentCut For(SaeSpec spec, int ranks, SumOrder order = SumOrder.Chain)
    {
        var starts = new List<int> { 0 };
        for (var part = 1; part <= Parts; part++)
            if (FirstOf(spec.Latents, part) > FirstOf(spec.Latents, starts[^1]) && IsPossible(spec, part, order))
                starts.Add(part);
        var cells = starts.Count - 1;
        if (cells < ranks) throw Refused(spec, ranks, cells, order);
        return new(spec.Latents, [.. Enumerable.Range(0, ranks + 1).Select(rank => starts[cells * rank / ranks])]);
    }

    static bool IsPossible(SaeSpec spec, int part, SumOrder order) => part == Parts || spec.Selection switch
    {
        Selection.GroupMax => FirstOf(spec.Latents, part) % (spec.Latents / spec.Active) == 0,
        _ when HoldsChunks(spec, order) => part % DenseParts(spec.Latents) == 0,
        _ => true,
    };

    static bool HoldsChunks(SaeSpec spec, SumOrder order) => spec.IsThresholded && order == SumOrder.Chain;

    static SaeException Refused(SaeSpec spec, int ranks, int most, SumOrder order) => new(
        $"{spec.Latents} latents cannot be divided among {ranks} ranks: " + spec.Selection switch
        {
            Selection.GroupMax => $"a rank holds whole groups and whole parts of n / {Parts} latents",
            _ when HoldsChunks(spec, order) =>
                $"a rank of {spec.Selection.GetType().Name} holds whole chunks of about {DenseChunk} latents",
            _ => $"a rank holds whole parts of n / {Parts} latents",
        } + (most > 1 ? $"; start {most} ranks or fewer" : "; start one process") + ", or use more latents");
}
