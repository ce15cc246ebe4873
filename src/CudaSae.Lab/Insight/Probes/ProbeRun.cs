using CudaSae.Activations;
using CudaSae.Runs;

namespace CudaSae.Lab.Insight.Probes;

/// <summary>What to probe, and how much memory it may take.</summary>
sealed record ProbeOptions
{
    /// <summary>Numbers of latents of the sparse probes, ascending; none for no such probe.</summary>
    public int[] K { get; init; } = [1, 2, 5, 10];

    /// <summary>Whether to fit a logistic probe on the raw activations too.</summary>
    public bool Logistic { get; init; }

    /// <summary>λ of the regressions.</summary>
    public double L2 { get; init; } = LogisticRegression.DefaultL2;

    /// <summary>Rows that the split keeps together.</summary>
    public int BlockRows { get; init; } = 256;

    public ulong Seed { get; init; } = 1;

    /// <summary>Bytes: for codes, for predictions of boards, and for raw activations, each.</summary>
    public long Memory { get; init; } = 4L << 30;
}

/// <summary>Scores of a latent on the half of the rows that did not choose it.</summary>
/// <param name="F1">F1 at the threshold that was best on the half that chose it.</param>
readonly record struct HeldOutScore(double Auroc, double F1);

/// <summary>Everything that labels tell about an SAE's latents.</summary>
/// <param name="Probe">Every latent against every property.</param>
/// <param name="Held">Of each property: the latent with the best AUROC, and the one with the best F1, on the rows that
/// did not choose them.</param>
/// <param name="Sparse">Of the properties with enough rows.</param>
/// <param name="BoardLatents">Precise latents of each property.</param>
/// <param name="Counts">Rows on which each latent is active, [n].</param>
/// <param name="Passes">How often the rows were encoded.</param>
sealed record ProbeFindings(Labels Labels, ProbeOptions Options, LatentProbe Probe, HeldOutScore[] Held,
    BoardReconstruction.Result Board, IReadOnlyList<int> BoardLatents, SparseProbeResult[] Sparse,
    IReadOnlyList<long> Counts, int Passes)
{
    /// <summary>The SAE on the rows that were probed; null where codes came without it.</summary>
    public Evaluation? Evaluation { get; init; }

    /// <summary>Properties that some labelled rows have and some have not, by their places.</summary>
    public int[] Decidable =>
        field ??= [.. Enumerable.Range(0, Labels.Properties.Count)
            .Where(p => Labels.Properties[p] is { Positives: > 0 } property && property.Positives < property.Labelled)];

    /// <summary>Mean over properties of the best F1 of any latent (Karvonen et al. 2024).</summary>
    public double Coverage => Decidable.Average(p => Probe.Results[p].ByF1.Score.F1);

    /// <summary>The same of latents and thresholds that the other half of the rows chose.</summary>
    public double CoverageHeldOut =>
        Decidable.Select(p => Held[p].F1).Where(double.IsFinite).DefaultIfEmpty(double.NaN).Average();
}

/// <summary>Labels against an SAE, from codes to findings.</summary>
static class ProbeRun
{
    /// <param name="sae">Whose latents.</param>
    /// <param name="labels">Of the data's first rows.</param>
    /// <exception cref="SaeException">Widths differ, no property can be decided, or the memory does not
    /// suffice.</exception>
    public static ProbeFindings Run(Sae sae, ActivationSource data, Labels labels, ProbeOptions options)
    {
        var raw = options.Logistic ? SparseProbe.Read(data, labels.Rows, sae.InputWidth, options.Memory) : null;
        EvaluationTotals? totals = null;        // of the first pass
        var store = new CodeStore(sae.Latents, options.Memory, visitor =>
        {
            ICodeVisitor[] visitors = totals is null ? [visitor, totals = EvaluationTotals.For(sae)] : [visitor];
            CodePass.Run(sae, data, 0, labels.Rows, visitors);
        });
        return Run(store, labels, options, raw) with { Evaluation = totals!.Finish(0) };
    }

    /// <param name="raw">[rows, d] for the dense probe, or null.</param>
    public static ProbeFindings Run(CodeStore store, Labels labels, ProbeOptions options, float[]? raw = null)
    {
        if (!labels.Properties.Any(p => p.Positives > 0 && p.Positives < p.Labelled))
            throw new SaeException("every question has the same answer on all labelled rows, so there is nothing to "
                + "tell apart; label more rows");
        var chooses = Split.Half(labels.Rows, options.BlockRows, options.Seed);
        Labels choosing = labels.Where(chooses), measuring = labels.Where([.. chooses.Select(c => !c)]);
        var board = new BoardReconstruction(measuring, options.Memory);
        var probe = LatentProbe.Run(store, labels, choosing, options.K.DefaultIfEmpty(0).Max(), board);
        int[] chosen = [.. probe.Results.SelectMany(r => r.ByDifference.Append(r.ChosenByAuroc).Append(r.ChosenByF1))
            .Select(c => c.Latent).Where(l => l >= 0).Distinct().Order()];
        var columns = store.Columns(chosen);
        var held = Measure(probe, measuring, columns);
        var sparse = options.K.Length == 0 ? []
            : new SparseProbe(labels, chooses, columns, options.K, options.L2, raw).Run(probe.Results);
        return new(labels, options, probe, held, board.Measure(), board.Latents, sparse, store.Counts, store.Passes);
    }

    static HeldOutScore[] Measure(LatentProbe probe, Labels measuring, CodeColumns columns)
    {
        var held = new HeldOutScore[probe.Results.Length];
        Parallel.For(0, held.Length, () => new LatentRanks(), (p, _, ranks) =>
        {
            held[p] = new(Auroc(probe.Results[p].ChosenByAuroc, p, ranks), F1(probe.Results[p].ChosenByF1, p));
            return ranks;
        }, static _ => { });
        return held;

        double Auroc(Candidate candidate, int p, LatentRanks ranks)
        {
            if (candidate.Latent < 0) return double.NaN;
            var (column, property) = (Array.BinarySearch(columns.Latents, candidate.Latent), measuring.Properties[p]);
            var scores = new LatentScore[measuring.Questions[property.Question].Classes.Length];
            ranks.Load(columns.Rows(column), columns.Values(column));
            ranks.Score(measuring[property.Question], measuring.Totals[property.Question], scores);
            return scores[property.Class].Auroc;
        }

        double F1(Candidate candidate, int p)
        {
            var property = measuring.Properties[p];
            if (candidate.Latent < 0 || !(candidate.Score.F1 > 0) || property.Positives == 0)
                return property.Positives == 0 ? double.NaN : 0;
            var answers = measuring[property.Question];
            var (column, hits, predicted) = (Array.BinarySearch(columns.Latents, candidate.Latent), 0L, 0L);
            for (var i = 0; i < columns.Rows(column).Length; i++)
                if (columns.Values(column)[i] >= candidate.Score.Threshold
                    && answers[columns.Rows(column)[i]] is >= 0 and var c)
                {
                    predicted++;
                    hits += c == property.Class ? 1 : 0;
                }
            return 2.0 * hits / (predicted + property.Positives);
        }
    }
}
