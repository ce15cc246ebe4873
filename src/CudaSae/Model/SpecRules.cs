using System.Diagnostics.CodeAnalysis;

namespace CudaSae.Model;

/// <summary>Refuses specs that cannot be trained. The table of settings has the ranges of single fields, and this class
/// has the rules between fields.</summary>
static class SpecRules
{
    public const int MaxPrefixes = 16, MaxBudgets = 64, MaxSites = 8;

    /// <summary>Checks a spec.</summary>
    /// <param name="spec">The spec.</param>
    /// <param name="trains">False for a finished SAE, whose rows are bounded only by n.</param>
    /// <exception cref="SaeException">A field is out of range, or fields contradict each other.</exception>
    public static void Check(SaeSpec spec, bool trains = true)
    {
        Possible(spec.Selection is not null, "Selection is missing");
        foreach (var part in SpecSettings.Parts) part.Check(spec);
        CheckSelection(spec, trains);
        CheckNesting(spec);
        CheckLosses(spec);
        CheckShape(spec);
    }

    /// <summary>Checks the configuration of a run against the architecture.</summary>
    public static void Check(SaeSpec spec, TrainConfig config)
    {
        Possible(!config.FoldDecoderNorms || spec.IsThresholded || spec.DecoderNorm == DecoderNorm.Unit,
            "FoldDecoderNorms would change which latents are the largest: keep it off, or the decoder at unit norm");
        Possible(config.Screening == ScreeningKind.None
            || spec.Selection is Selection.TopK or Selection.AbsTopK or Selection.BatchTopK,
            $"8-bit screening rules columns out by a row's k-th largest value, which {spec.Selection.GetType().Name} "
                + "does not have: keep Screening at None, or use TopK, AbsTopK or BatchTopK");
    }

    static void CheckSelection(SaeSpec spec, bool trains)
    {
        switch (spec.Selection)
        {
            case Selection.TopK { InitialK: not 0 } top:
                Range(top.K >= 1, "K", top.K, $"1 to Latents = {spec.Latents}");
                Range(top.InitialK >= top.K && top.InitialK <= spec.Latents, "InitialK", top.InitialK,
                    $"0, or K = {top.K} to Latents = {spec.Latents}");
                Range(top.AnnealFraction is > 0 and <= 1, "AnnealFraction", top.AnnealFraction, "above 0, at most 1");
                break;
            case Selection.GroupMax groups:
                Range(groups.K >= 1 && spec.Latents % groups.K == 0, "K", groups.K,
                    $"a divisor of Latents = {spec.Latents}");
                break;
            case Selection.JumpRelu jump:
                Range(jump.InitialThreshold is > 0 and <= 1e6f || jump.Form == ThresholdForm.Direct
                    && jump.InitialThreshold == 0, "InitialThreshold", jump.InitialThreshold, "above 0, at most 1e6");
                break;
        }
        var name = spec.IsThresholded ? "Room" : "K";
        var k = spec.Selection.Capacity(spec.Latents);
        Range(k >= 1 && k <= spec.Latents, name, k, $"1 to Latents = {spec.Latents}");
        if (!trains) return;
        var most = spec.IsThresholded ? SaeSpec.MaxRoom : SaeSpec.MaxActive;
        Range(k <= most, name, k, $"1 to {most}");
    }

    static void CheckNesting(SaeSpec spec)
    {
        switch (spec.Nested)
        {
            case Nesting.Prefixes prefixes:
                Possible(prefixes.Widths is not null, "Prefixes.Widths is missing");
                Range(prefixes.Widths.Length is >= 1 and < MaxPrefixes, "Prefixes.Widths", prefixes.Widths.Length,
                    $"1 to {MaxPrefixes - 1} widths");
                for (var m = 0; m < prefixes.Widths.Length && !prefixes.Random; m++)
                    Range(prefixes.Widths[m] > (m > 0 ? prefixes.Widths[m - 1] : 0)
                        && prefixes.Widths[m] < spec.Latents,
                        "Prefixes.Widths", prefixes.Widths[m], $"ascending, below Latents = {spec.Latents}");
                break;
            case Nesting.Budgets budgets:
                Possible(spec.Selection is Selection.TopK { InitialK: 0 },
                    "budgets are parts of a row's largest entries: use TopK without InitialK");
                Possible(budgets is { Ks: not null, Weights: not null }, "Budgets.Ks or Budgets.Weights is missing");
                Range(budgets.Ks.Length is >= 1 and <= MaxBudgets, "Budgets.Ks", budgets.Ks.Length,
                    $"1 to {MaxBudgets} budgets");
                Range(budgets.Weights.Length == budgets.Ks.Length, "Budgets.Weights", budgets.Weights.Length,
                    "one a budget");
                for (var m = 0; m < budgets.Ks.Length; m++)
                    Range(budgets.Ks[m] > (m > 0 ? budgets.Ks[m - 1] : 0)
                        && budgets.Ks[m] <= Math.Min(SaeSpec.MaxActive, spec.Latents),
                        "Budgets.Ks", budgets.Ks[m], $"ascending, at most {Math.Min(SaeSpec.MaxActive, spec.Latents)}");
                foreach (var weight in budgets.Weights) Range(weight is >= 0 and <= 1e6f, "Budgets.Weights", weight,
                    "0 to 1e6");
                Range(budgets.Report == 0 || budgets.Ks.Contains(budgets.Report), "Budgets.Report", budgets.Report,
                    "one of the budgets");
                Range(((Selection.TopK)spec.Selection).K <= budgets.Largest, "K", ((Selection.TopK)spec.Selection).K,
                    $"at most the largest budget, {budgets.Largest}");
                break;
        }
    }

    static void CheckLosses(SaeSpec spec)
    {
        Possible(spec.Penalty is null || spec.Selection is not Selection.AbsTopK,
            "AbsTopK's values have signs: a penalty on them is not defined here");
        Possible(spec.Penalty is not (SparsityPenalty.L0 or SparsityPenalty.TargetL0)
            || spec.Selection is Selection.JumpRelu, "an L0 penalty moves thresholds only: use JumpReLU");
        if (spec.Penalty is SparsityPenalty.Lp lp)
            Range(lp.AnnealTo >= lp.AnnealFrom && lp.AnnealTo <= 1, "Penalty.AnnealTo", lp.AnnealTo,
                $"AnnealFrom = {lp.AnnealFrom} to 1");
        Possible(spec.PreAct is null || spec.Selection is Selection.JumpRelu,
            "the pre-activation loss is about thresholds: use JumpReLU");
        Possible(spec.Aux is null || spec.Ghost is null,
            "AuxK and ghost gradients both train the dead latents: choose one");
    }

    static void CheckShape(SaeSpec spec)
    {
        Possible(spec.Transcoder is null || !spec.PreEncoderBias,
            "a transcoder's b_dec belongs to its target, not to its input: turn PreEncoderBias off");
        Possible(spec.Tying == Tying.Untied || spec.Transcoder is null,
            "a transcoder's encoder and decoder live in different spaces: Tying must be Untied");
        if (spec.Sites is not { } sites) return;
        Range(sites.Length is >= 1 and <= MaxSites, "Sites", sites.Length, $"1 to {MaxSites} sites");
        Range(sites.All(w => w > 0) && sites.Sum(w => (long)w) == spec.OutputWidth, "Sites", string.Join("+", sites),
            $"widths that add up to {spec.OutputWidth}");
        Possible(spec.DecoderNorm == DecoderNorm.Free,
            "a crosscoder's penalty is on its decoder norms: DecoderNorm must be Free");
    }

    static void Range(bool good, string field, object value, string range)
    {
        if (!good) throw SettingRange.OutOfRange(field, value, range);
    }

    static void Possible([DoesNotReturnIf(false)] bool good, string reason)
    {
        if (!good) throw new SaeException(reason);
    }
}
