using CudaSae.Numerics;

namespace CudaSae.Lab.Synthetic;

/// <summary>Five sparse attentional features in the outputs of two heads, after the toy model in Anthropic's Circuits
/// Updates of
/// January 2024. A row is (h₀, h₁), the heads' outputs side by side. Each head writes along one direction u_h of its
/// own, and feature i
/// uses head 0 with weight cos θᵢ and head 1 with weight sin θᵢ: a regular pentagon in two dimensions, so that no head
/// is a feature
/// and no feature a head. The mixing is built so, not trained; feature activity is that of
/// <see cref="Superposition"/>.</summary>
static class AttentionSuperposition
{
    public const int Features = 5, Heads = 2;

    const double Turn = Math.PI / 20;   // keeps every feature at least 9° away from both heads' axes

    /// <summary>The data, with the mixing matrix [5, 2 · d_head] as their dictionary; d_head is half of the
    /// width.</summary>
    public static Superposition Create(SuperpositionOptions options)
    {
        if (options.Features != Features)
            throw new SaeException($"attention superposition has {Features} features, not {options.Features}; leave "
                + "--features out");
        options.Validate();
        if (options.Width % Heads != 0)
            throw new SaeException($"a width of {options.Width} is not two heads' outputs; choose an even one");
        return new(options, Mixing(options.Width / Heads, options.Seed));
    }

    /// <summary>Rows (cos θᵢ u₀, sin θᵢ u₁) of norm 1, with neighbours 72° apart.</summary>
    static Matrix Mixing(int headWidth, ulong seed)
    {
        var mixing = new Matrix(Features, Heads * headWidth);
        var u = new float[headWidth];
        for (var h = 0; h < Heads; h++)
        {
            Superposition.RandomUnit(u, seed, h);
            for (var f = 0; f < Features; f++)
            {
                var angle = 2 * Math.PI * f / Features + Turn;
                var weight = h == 0 ? Math.Cos(angle) : Math.Sin(angle);
                for (var i = 0; i < headWidth; i++) mixing[f][h * headWidth + i] = (float)(weight * u[i]);
            }
        }
        return mixing;
    }

    /// <summary>The mixing matrix as a picture, heads parted by a line.</summary>
    public static string Picture(Matrix mixing) => HeatMap.Svg(mixing, "feature", "head", Heads);
}
