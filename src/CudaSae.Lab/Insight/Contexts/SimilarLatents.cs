using CudaSae.Numerics;

namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Of each latent those whose decoder rows point most nearly the same way: cos = w_i · w_j / (‖w_i‖ ‖w_j‖),
/// over all pairs, 2 n² d operations. The choice is made on
/// products in float32, the cosines that are given are summed in double. Memory: a copy of the rows, 4 n d bytes (134
/// MB for n = 65,536, d = 512).</summary>
static class SimilarLatents
{
    /// <param name="decoder">[n, d].</param>
    /// <param name="included">Latents that are compared; the others, and those whose row is 0 or not finite, have no
    /// partners and are none.</param>
    /// <param name="m">Partners kept a latent.</param>
    public static Partners Of(Matrix decoder, Func<int, bool> included, int m)
    {
        var latents = (int)decoder.Rows;
        int[] number = [.. Enumerable.Range(0, latents)
            .Where(i => included(i) && Matrix.Norm(decoder[i]) is > 0 and < double.PositiveInfinity)];
        using var unit = new UnitRows(decoder, "W_dec", number);
        var found = new Partners(number.Length, m);
        Cosines.Scan(unit, [.. Enumerable.Range(0, number.Length)], unit, (latent, other, cosine) =>
        {
            if (latent != other) found.Offer(latent, other, cosine);
        }, found.Floor);
        var partners = new Partners(latents, m);
        Parallel.For(0, number.Length, at =>
        {
            foreach (var other in found.Latents(at))
                partners.Offer(number[at], number[other], (float)unit.Cosine(at, unit, other));
        });
        return partners;
    }
}
