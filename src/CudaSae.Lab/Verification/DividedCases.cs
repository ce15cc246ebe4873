using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Lab.Verification;

/// <summary>Cases for several ranks.</summary>
sealed partial record VerifyCase
{
    const int Chunk = LatentCut.DenseChunk;

    /// <summary>Returns the case with as many latents as this number of ranks needs: a rank of a thresholded selection
    /// holds whole chunks of the dense path. The latents of the case are divided among the ranks, and the others are
    /// silent.</summary>
    public VerifyCase Divided(int ranks)
    {
        if (ranks == 1 || !Spec.IsThresholded || Spec.Latents >= Chunk * ranks) return this;
        var wide = Spec with
        {
            Latents = Chunk * ranks,
            Nested = Spec.Nested is Nesting.Prefixes { Random: false } nested
                ? nested with { Widths = [.. nested.Widths.Select(width => Place(width, ranks))] } : Spec.Nested,
        };
        return this with
        {
            Spec = wide,
            Prepare = problem => problem.Spread(Problem(), latent => Place(latent, ranks)),
        };
    }

    /// <summary>The place of a latent of this case in the larger one.</summary>
    int Place(int latent, int ranks)
    {
        var rank = Math.Min(ranks - 1, (int)((long)latent * ranks / Spec.Latents));
        var first = (int)(((long)rank * Spec.Latents + ranks - 1) / ranks);
        return rank * Chunk + latent - first;
    }
}
