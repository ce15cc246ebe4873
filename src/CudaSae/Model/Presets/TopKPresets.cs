namespace CudaSae.Model;

/// <summary>The presets whose codes have a bounded length.</summary>
static class TopKPresets
{
    static SaeSpec Make(int d, int n, Selection selection) => new()
    {
        InputWidth = d, Latents = n, Selection = selection, Aux = SpecDefaults.AuxFor(n),
    };

    static TrainConfig Same(TrainConfig c) => c;

    /// <summary>The running threshold adapts within a hundred steps, as in SAELens. With 0.999 it would still depend on
    /// the start of a short run.</summary>
    static Selection.BatchTopK Batch(int k) => new(k, ThresholdDecay: 0.99f);

    public static IReadOnlyList<Preset> All { get; } =
    [
        new("topk", "Gao et al. 2024, arXiv 2406.04093",
            "f = the k largest of relu(W(x − b_dec) + b); ‖x − x̂‖²/Var + α ‖ê + e‖²/Var(e) over dead latents; unit "
                + "decoder",
            "α 1/32, k_aux d/2, dead after 10M tokens, ε 6.25e-10, EMA 0.999", (d, n, k) =>
                Make(d, n, new Selection.TopK(k)), Same),
        new("topk-annealed", "sparsify: k_decay_steps", "topk with k falling from 8 k over the first tenth",
            "k from 10 d",
            (d, n, k) =>
                Make(d, n, new Selection.TopK(k, InitialK: Math.Min(Math.Min(8 * k, n), SaeSpec.MaxActive))), Same),
        new("multi-topk", "Gao et al. 2024, arXiv 2406.04093, §5.3", "L(k) + L(4k)/8", "",
            (d, n, k) => Make(d, n, new Selection.TopK(k)) with
            { Nested = new Nesting.Budgets([k, Math.Min(4 * k, n) > k ? Math.Min(4 * k, n) : n], [1, 0.125f],
                Report: k) },
            Same),
        new("hierarchical-topk", "Balagansky et al. 2025, arXiv 2505.24473",
            "Σ over budgets k' ≤ k of the row's largest entries", "every k' from 1 to k",
            (d, n, k) =>
                Make(d, n, new Selection.TopK(k)) with
                {
                    Nested = new Nesting.Budgets([.. Enumerable.Range(1, k)], [.. Enumerable.Repeat(1f / k, k)])
                }, Same),
        new("batch-topk", "Bussmann et al. 2024, arXiv 2412.06410",
            "the B·k largest of the batch; at inference z > running threshold", "decay 0.999 of the running threshold",
            (d, n, k) => Make(d, n, Batch(k)), Same),
        new("matryoshka", "Bussmann et al. 2025, arXiv 2503.17547",
            "Σ over prefixes m of ‖x − b − f[:m] WDec[:m]‖²; BatchTopK", "",
            (d, n, k) =>
                Make(d, n, Batch(k)) with { Nested = new Nesting.Prefixes(Preset.PrefixesOf(n), Mean: true) }, Same),
        new("matryoshka-random", "Bussmann et al. 2025, arXiv 2503.17547",
            "matryoshka with prefixes drawn anew each step", "ten prefixes, truncated Pareto",
            (d, n, k) =>
                Make(d, n, Batch(k)) with
                {
                    Nested = new Nesting.Prefixes([1, 1, 1, 1, 1], Random: true, Mean: true)
                }, Same),
        new("group-max", "sparsify: groupmax", "the largest of each of k groups of latents", "",
            (d, n, k) => Make(d, n, new Selection.GroupMax(k)), Same),
        new("abs-topk", "SAELens: abstopk", "the k largest |z|, signs kept", "",
            (d, n, k) => Make(d, n, new Selection.AbsTopK(k)), Same),
        new("tied-topk", "Gao et al. 2024 with WEnc = WDec", "topk with one matrix", "",
            (d, n, k) => Make(d, n, new Selection.TopK(k)) with { Tying = Tying.Tied }, Same),
    ];
}
