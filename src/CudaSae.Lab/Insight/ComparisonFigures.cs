using CudaSae.Formats;
using CudaSae.Lab.Report;
using static CudaSae.Lab.Insight.Histograms;

namespace CudaSae.Lab.Insight;

/// <summary>The chapter about another SAE of the same activations.</summary>
static class ComparisonFigures
{
    const int Examples = 15, ChildrenShown = 8;
    const string Own = "this SAE";

    /// <param name="name">Of the other one.</param>
    public static Section Section(SaeModel own, SaeModel other, string name)
    {
        var isSmaller = own.Spec.Latents <= other.Spec.Latents;
        var (small, large) = isSmaller ? (Own, name) : (name, Own);
        var c = isSmaller ? new DictionaryComparison(own, other) : new DictionaryComparison(other, own);
        return new($"against-{Slug(name)}", $"Against {name}", 130,
            [Nearest(c, small, large), Splitting(c, small, large), Table(c, small, large)]);
    }

    static string Slug(string name) =>
        string.Concat(name.ToLowerInvariant().Select(ch => char.IsAsciiLetterOrDigit(ch) ? ch : '-')).Trim('-');

    static HistogramFigure Nearest(DictionaryComparison c, string small, string large)
    {
        var edges = Linear(-0.2, 1, 60);
        var (there, back) = (c.NearestInLarge.Where(n => n.Row >= 0).Select(n => n.Cosine).ToArray(),
            c.NearestInSmall.Where(n => n.Row >= 0).Select(n => n.Cosine).ToArray());
        return new("nearest", "The nearest decoder row of the other SAE", new("largest cosine"), new("latents"), edges,
            [Count($"of {small}", there, edges), Count($"of {large}", back, edges)])
        {
            Finding =
                $"MMCS is {c.MmcsToLarge:0.0000} from {small} ({c.FromSmall.Length} latents) to {large} "
                    + $"({c.FromLarge.Length}) and {c.MmcsToSmall:0.0000} back; "
                + $"{Share(Part(there))} and {Share(Part(back))} of the latents have a partner above 0.9.",
            Formula =
                "MMCS (Sharkey et al. 2022): mean over one side's latents of the largest cosine with a decoder row of "
                    + "the other side; cosines with their sign. "
                + "Above 16,384 latents, 4096 of them at equal distances.",
        };

        static double Part(double[] cosines) => (double)cosines.Count(v => v > 0.9) / Math.Max(1, cosines.Length);
    }

    static HistogramFigure Splitting(DictionaryComparison c, string small, string large)
    {
        var most = c.Children.Max(list => list.Length);
        var edges = Linear(0, Math.Min(most, 63) + 1, Math.Min(most, 63) + 1);
        var split = c.Children.Count(list => list.Length > 1);
        return new("children", "Feature splitting", new("children", $"latents of {large}"),
            new("latents", $"of {small}"), edges,
            [Count($"of {small}", c.Children.Select(list => (double)list.Length), edges)])
        {
            Finding =
                $"{c.Children.Count(list => list.Length == 0)} of {c.Children.Length} latents of {small} have no "
                    + $"latent of {large} above a cosine of {DictionaryComparison.ChildBar}, "
                + $"{c.Children.Count(list => list.Length == 1)} have one, {split} several; the most are {most}.",
            Formula =
                "Children of a latent: decoder rows of the larger SAE whose cosine with its own is above "
                    + $"{DictionaryComparison.ChildBar}. Splitting as in Bricken et al. 2023. "
                + "The last bin takes all above.",
        };
    }

    static TableFigure Table(DictionaryComparison c, string small, string large)
    {
        int[] shown = [.. Enumerable.Range(0, c.Children.Length).OrderByDescending(q => c.Children[q].Length)
            .ThenBy(q => q).Take(Examples)];
        return new("examples", "Latents with the most children",
            [new($"latent of {small}", Numbers: [.. shown.Select(q => (double?)c.FromSmall[q])]) { Digits = 0 },
                new("children", Numbers: [.. shown.Select(q => (double?)c.Children[q].Length)]) { Digits = 0 },
                new($"nearest of {large}",
                    [.. shown.Select(q => string.Join(", ",
                        c.Children[q].Take(ChildrenShown).Select(child => $"{child.Row} ({child.Cosine:0.00})")))])])
        {
            Finding = c.Children[shown[0]].Length == 0 ? "No latent has a child."
                : $"Latent {c.FromSmall[shown[0]]} of {small} has {c.Children[shown[0]].Length} "
                + $"{(c.Children[shown[0]].Length == 1 ? "child" : "children, the nearest")}, latent "
                + $"{c.Children[shown[0]][0].Row} at {c.Children[shown[0]][0].Cosine:0.000}.",
        };
    }
}
