using CudaSae.Formats;
using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Decoder rows of two SAEs of the same activations. Cosines have signs: an opposite direction is another
/// latent (recover takes |cosine|).</summary>
sealed class DictionaryComparison
{
    /// <summary>Cosine above which a latent of the larger SAE counts as a child of one of the smaller.</summary>
    public const double ChildBar = 0.5;

    /// <param name="small">The one with fewer latents, or either.</param>
    /// <exception cref="SaeException">Their outputs differ in width, or a row is not finite.</exception>
    public DictionaryComparison(SaeModel small, SaeModel large)
    {
        if (small.Spec.OutputWidth != large.Spec.OutputWidth)
            throw new SaeException($"one SAE reconstructs {small.Spec.OutputWidth} numbers a row, the other "
                + $"{large.Spec.OutputWidth}; compare SAEs of the same activations");
        using UnitRows a = new(small.Parameters.WDec, "W_dec"),
            b = new(large.Parameters.WDec, "W_dec of the other SAE");
        (FromSmall, FromLarge) = (Cosines.Queries(a.Count), Cosines.Queries(b.Count));
        NearestInLarge = Cosines.Nearest(a, FromSmall, b);
        NearestInSmall = Cosines.Nearest(b, FromLarge, a);
        Children = Cosines.Above(a, FromSmall, b, ChildBar);
    }

    /// <summary>Latents of the smaller SAE that are asked about: all, or a sample as in <see cref="Geometry.Sampled"/>;
    /// and of the larger one.</summary>
    public int[] FromSmall { get; }
    public int[] FromLarge { get; }

    public (int Row, double Cosine)[] NearestInLarge { get; }
    public (int Row, double Cosine)[] NearestInSmall { get; }

    /// <summary>Of each latent of <see cref="FromSmall"/> those of the larger SAE above <see cref="ChildBar"/>, the
    /// nearest first.</summary>
    public (int Row, double Cosine)[][] Children { get; }

    /// <summary>MMCS (Sharkey et al. 2022): mean over one side's latents of their largest cosine with the other side's.
    /// Rows of norm 0 are left out.</summary>
    public double MmcsToLarge => Mean(NearestInLarge);
    public double MmcsToSmall => Mean(NearestInSmall);

    static double Mean((int Row, double Cosine)[] nearest) =>
        Doubles.Moments([.. nearest.Where(n => n.Row >= 0).Select(n => n.Cosine)]).Mean;
}
