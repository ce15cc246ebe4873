using CudaSae.Formats;
using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Compares the decoder rows of two SAEs of the same activations. Cosines are signed, because an opposite
/// direction is another latent (<c>recover</c> takes |cosine|).</summary>
sealed class DictionaryComparison
{
    /// <summary>The cosine above which a latent of the larger SAE counts as a child of a latent of the smaller
    /// one.</summary>
    public const double ChildBar = 0.5;

    /// <param name="small">The SAE with fewer latents; either one if the numbers are equal.</param>
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

    /// <summary>The compared latents of the smaller SAE: all, or a sample as in
    /// <see cref="Geometry.Sampled"/>.</summary>
    public int[] FromSmall { get; }
    /// <summary>The compared latents of the larger SAE.</summary>
    public int[] FromLarge { get; }

    public (int Row, double Cosine)[] NearestInLarge { get; }
    public (int Row, double Cosine)[] NearestInSmall { get; }

    /// <summary>The children of each latent of <see cref="FromSmall"/>: latents of the larger SAE above
    /// <see cref="ChildBar"/>, the nearest first.</summary>
    public (int Row, double Cosine)[][] Children { get; }

    /// <summary>MMCS (Sharkey et al. 2022): the mean over the latents of one side of their largest cosine with a latent
    /// of the other side. Rows of norm 0 are left out.</summary>
    public double MmcsToLarge => Mean(NearestInLarge);
    public double MmcsToSmall => Mean(NearestInSmall);

    static double Mean((int Row, double Cosine)[] nearest) =>
        Doubles.Moments([.. nearest.Where(n => n.Row >= 0).Select(n => n.Cosine)]).Mean;
}
