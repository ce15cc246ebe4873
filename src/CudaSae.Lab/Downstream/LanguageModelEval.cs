using System.Runtime.InteropServices;
using CudaSae.Lab.Harvest;
using CudaSae.Numerics;

namespace CudaSae.Lab.Downstream;

/// <summary>What a language model loses when an SAE's reconstruction stands in for a site's activations: SAEBench's
/// core metrics.</summary>
static class LanguageModelEval
{
    /// <param name="name">Of the SAE.</param>
    /// <param name="sequences">Each of two tokens at least.</param>
    /// <param name="excludeBos">Tokens that begin a sequence keep their activations, unless all are ablated, and are
    /// left out of every mean.</param>
    /// <exception cref="SaeException">There is nothing to predict, or the SAE does not fit the site.</exception>
    public static DownstreamResult Run(ILanguageModel model, Sae sae, string name, string site,
        IReadOnlyList<TokenSequence> sequences, bool excludeBos = false)
    {
        var place = new SpliceSite(model, sae, site, excludeBos);
        if (!sequences.Any(s => s.Ids.Length > 1 && s.Ids.SkipLast(1).Any(place.Keeps)))
            throw new SaeException("there is no token to predict; give sequences of two tokens at least");
        LossTotals without = new(), with = new(), identity = new(), zero = new(), mean = new();
        long changed = 0;
        float[] untouched = [];
        foreach (var (ids, _) in sequences)
        {
            place.Begin(ids);
            var logits = model.Logits(ids, place.Capture);
            untouched = Copy(logits, ids.Length);
            without.Add(logits, ids, place.Keeps, []);
            place.Reconstruct();
            var again = model.Logits(ids, place.Put(place.Original));
            identity.Add(again, ids, place.Keeps, []);
            changed += Different(untouched, Copy(again, ids.Length));
            Measure(with, ids, place.Put(place.Reconstruction));
            Measure(zero, ids, place.PutZero());
        }
        var average = place.Totals.Mean();
        var everywhere = place.PutEverywhere([.. average.Select(a => (float)a)]);
        foreach (var (ids, _) in sequences)
        {
            place.Begin(ids);
            mean.Add(model.Logits(ids, place.Capture + everywhere), ids, place.Keeps, []);
            place.Again(average);
        }
        var metrics = Metrics(place.Totals, without, with, identity, zero, mean, changed).ToArray();
        return new(model.Name, site, name, sae.Spec.Selection.GetType().Name.ToLowerInvariant(), metrics,
            DownstreamFigures.Of(metrics, without, with, zero, mean));

        void Measure(LossTotals total, int[] ids, Action<string, Matrix> hook) =>
            total.Add(model.Logits(ids, hook), ids, place.Keeps, untouched);
    }

    static float[] Copy(Matrix logits, int tokens)
    {
        var copy = new float[tokens * logits.Columns];
        for (var t = 0; t < tokens; t++) logits[t].CopyTo(copy.AsSpan(t * logits.Columns));
        return copy;
    }

    /// <summary>Numbers that differ in a bit.</summary>
    static long Different(float[] a, float[] b)
    {
        ReadOnlySpan<int> x = MemoryMarshal.Cast<float, int>(a), y = MemoryMarshal.Cast<float, int>(b);
        long count = 0;
        for (var i = 0; i < x.Length; i++) count += x[i] != y[i] ? 1 : 0;
        return count;
    }

    static IEnumerable<Metric> Metrics(ReconstructionTotals totals, LossTotals without, LossTotals with,
        LossTotals identity, LossTotals zero, LossTotals mean, long changed)
    {
        const string performance = "model_performance_preservation", behavior = "model_behavior_preservation",
            controls = "controls", tokens = "token_stats";
        double ce = without.CrossEntropy, ablated = zero.CrossEntropy;
        double Score(double loss, double worst) => (worst - loss) / (worst - ce);
        return
        [
            new(performance, "ce_loss_without_sae", ce, "mean of −log p(next token), nats"),
            new(performance, "ce_loss_with_sae", with.CrossEntropy, "the same with x̂ for x"),
            new(performance, "ce_loss_with_ablation", ablated, "the same with 0 for x"),
            new(performance, "ce_loss_score", Score(with.CrossEntropy, ablated),
                "(ce_ablation − ce_sae) / (ce_ablation − ce_without): loss recovered"),
            new(performance, "ce_loss_with_mean_ablation", mean.CrossEntropy,
                "the same with x̄ for x; not in SAEBench"),
            new(performance, "ce_loss_score_mean_ablation", Score(with.CrossEntropy, mean.CrossEntropy),
                "the score against that"),
            new(behavior, "kl_div_with_sae", with.Divergence, "mean of KL(p ‖ p with x̂ for x), nats"),
            new(behavior, "kl_div_with_ablation", zero.Divergence, "the same with 0 for x"),
            new(behavior, "kl_div_score", (zero.Divergence - with.Divergence) / zero.Divergence,
                "(kl_ablation − kl_sae) / kl_ablation"),
            .. totals.Metrics(),
            new(tokens, "total_tokens_eval_reconstruction", without.Each.Count, "tokens predicted"),
            new(tokens, "total_tokens_eval_sparsity_variance", totals.Rows, "tokens whose activations were replaced"),
            new(controls, "identity_changed_logits", changed,
                "logits that differ in a bit when x is put back for x; 0 if the splice is right"),
            new(controls, "identity_ce_loss_score", Score(identity.CrossEntropy, ablated), "the score with x for x: 1"),
            new(controls, "ablation_ce_loss_score", Score(zero.CrossEntropy, ablated), "the score with 0 for x: 0"),
        ];
    }
}
