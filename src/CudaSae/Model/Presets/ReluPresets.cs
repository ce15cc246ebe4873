namespace CudaSae.Model;

/// <summary>ReLU and a penalty.</summary>
static class ReluPresets
{
    static SaeSpec Relu(int d, int n, SparsityPenalty penalty) => new()
    {
        InputWidth = d, Latents = n, Selection = new Selection.Relu(Preset.RoomFor(n)), Penalty = penalty,
        DecoderNorm = DecoderNorm.Free, PreEncoderBias = false,
    };

    static TrainConfig April(TrainConfig c) => c with
    {
        LossNormalization = LossNormalization.Sum,
        LearningRate = 1e-3f,
        WarmupFraction = 0,
        DecayFraction = 0.2f,
        Clip = ClipKind.GlobalNorm,
        EncoderInitNorm = 0.3f,
        DecoderBias = DecoderBiasInit.Zero,
        FoldDecoderNorms = true,
    };

    static TrainConfig Bricken(TrainConfig c) => c with
    {
        LossNormalization = LossNormalization.Sum,
        LearningRate = 1e-3f,
        DecayFraction = 0.2f,
        EncoderInitNorm = 0.3f,
        Resampling = Resample(c),
    };

    static TrainConfig February(TrainConfig c) =>
        April(c) with
        {
            Beta1 = 0,
            Beta2 = 0.9999f,
            Clip = ClipKind.None,
            FoldDecoderNorms = false,
            PruneBelow = 0.99f
        };

    /// <summary>Four times over the first half of the run, as 25k to 100k steps of 200k are.</summary>
    static Resampling Resample(TrainConfig c) =>
        new(Math.Max(1, (int)(c.Steps / 8)), 4, Inputs: (int)Math.Min(819_200, c.Vectors / 8));

    /// <summary>λ rises over half of a run, because a run here is hundreds of steps, not hundreds of thousands: latents
    /// that λ silences early stay silent.</summary>
    const float Rise = 0.5f;

    static SparsityPenalty.L1 L1(float coefficient, PenaltyWeight weight = PenaltyWeight.One) =>
        new() { Coefficient = coefficient, Weight = weight, WarmupFraction = Rise };

    public static IReadOnlyList<Preset> All { get; } =
    [
        new("monosemanticity", "Bricken et al. 2023, Towards Monosemanticity",
            "f = relu(W(x − b_dec) + b); ‖x − x̂‖² + λ Σ f; unit decoder; resampling",
            "lr 1e-3, 1M steps of 8192, resampled at 25k, 50k, 75k, 100k steps from 819,200 inputs",
            (d, n, k) => Relu(d, n, L1(4)) with { DecoderNorm = DecoderNorm.Unit, PreEncoderBias = true }, Bricken),
        new("relu-unit", "Bricken et al. 2023, without the pre-encoder bias and resampling",
            "f = relu(W x + b); ‖x − x̂‖² + λ Σ f; unit decoder",
            "the control of the January 2024 update on ultralow-density latents",
            (d, n, k) =>
                Relu(d, n, L1(3.2f)) with { DecoderNorm = DecoderNorm.Unit }, c =>
                    Bricken(c) with { Resampling = null }),
        new("feb-2024", "Anthropic, Circuits Updates, February 2024",
            "f = relu(W x + b); ‖x − x̂‖² + λ Σ f; ‖d‖ ≤ 1; β₁ = 0; latents with ‖d‖ < 0.99 pruned at the end",
            "Adam β 0, 0.9999", (d, n, k) =>
                Relu(d, n, L1(3.6f)) with { DecoderNorm = DecoderNorm.AtMostOne }, February),
        new("feb-2024-tanh", "Anthropic, Circuits Updates, February 2024",
            "as feb-2024 with λ Σ tanh(s f), nothing pruned: a bounded penalty does not press norms to 1",
            "A/B · tanh(B f)",
            (d, n, k) =>
                Relu(d, n, new SparsityPenalty.Tanh(0.3f) { WarmupFraction = Rise, Coefficient = 10 }) with
                {
                    DecoderNorm = DecoderNorm.AtMostOne
                },
                c =>
                    February(c) with { PruneBelow = 0 }),
        new("april-2024", "Anthropic, Circuits Updates, April 2024",
            "f = relu(W x + b); ‖x − x̂‖² + λ Σ f ‖d‖; free norms, folded at the end",
            "decoder rows of norm 0.1 at the start, WEnc = WDecᵀ, lr 5e-5, 200k steps of 2048 to 4096, λ 5 rising over "
                + "5 % of them",
            (d, n, k) =>
                Relu(d, n, L1(4, PenaltyWeight.DecoderNorm)), April),
        new("tanh", "Anthropic, Circuits Updates, February 2024, on the April 2024 recipe",
            "‖x − x̂‖² + λ Σ tanh(s f ‖d‖)", "",
            (d, n, k) =>
                Relu(d, n,
                    new SparsityPenalty.Tanh(0.3f)
                    {
                        WarmupFraction = Rise, Coefficient = 8, Weight = PenaltyWeight.DecoderNorm
                    }),
                April),
        new("p-anneal", "Karvonen et al. 2024, arXiv 2408.00113",
            "‖x − x̂‖² + λ Σ f^p, p from 1 to 0.2, λ rescaled at each change; unit decoder",
            "p from 10k steps on, λ rescaled from 10 batches",
            (d, n, k) =>
                Relu(d, n, new SparsityPenalty.Lp(0.2f) { WarmupFraction = Rise, Coefficient = 3 }) with
                {
                    DecoderNorm = DecoderNorm.Unit, PreEncoderBias = true
                },
                c =>
                    Bricken(c) with { Resampling = null, Clip = ClipKind.GlobalNorm }),
        new("ghost-grads", "Anthropic, Circuits Updates, January 2024",
            "monosemanticity + ghost loss of dead latents through exp(z), scaled to ½‖residual‖ and to the error",
            "dead after 12.8M tokens",
            (d, n, k) => Relu(d, n, L1(3.8f)) with
            {
                DecoderNorm = DecoderNorm.Unit, PreEncoderBias = true, Ghost = new(DeadAfter.Unset),
            }, c => Bricken(c) with { Resampling = null }),
        new("ghost-grads-all", "Anthropic, Circuits Updates, February 2024",
            "ghost-grads with all latents dead for the first steps", "a bug that helped on one-layer models",
            (d, n, k) => Relu(d, n, L1(3.65f)) with
            {
                DecoderNorm = DecoderNorm.Unit, PreEncoderBias = true, Ghost = new(DeadAfter.Unset, AllFirstSteps: 20),
            }, c => Bricken(c) with { Resampling = null }),
        new("tied", "Cunningham et al. 2023, arXiv 2309.08600",
            "f = relu(D x + b); ‖x − x̂‖² + λ Σ f; WEnc = WDec, unit", "",
            (d, n, k) =>
                Relu(d, n, L1(2.06f)) with
                {
                    DecoderNorm = DecoderNorm.Unit, PreEncoderBias = true, Tying = Tying.Tied
                },
                c =>
                    Bricken(c) with { Resampling = null }),
        new("scaled-tie", "a weak tie: one scale a latent",
            "WEnc_f = s_f WDec_f; else as relu-unit with the pre-encoder bias", "",
            (d, n, k) =>
                Relu(d, n, L1(5.9f)) with
                {
                    DecoderNorm = DecoderNorm.Unit, PreEncoderBias = true, Tying = Tying.Scaled
                },
                c =>
                    Bricken(c) with { Resampling = null }),
    ];
}
