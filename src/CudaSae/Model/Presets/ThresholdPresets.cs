namespace CudaSae.Model;

/// <summary>Gates and thresholds.</summary>
static class ThresholdPresets
{
    static SaeSpec Make(int d, int n, Selection selection, SparsityPenalty penalty) => new()
    {
        InputWidth = d, Latents = n, Selection = selection, Penalty = penalty, DecoderNorm = DecoderNorm.Unit,
        PreEncoderBias = true,
    };

    static Selection.JumpRelu Jump(int n, float bandwidth, SmoothingKernel kernel = SmoothingKernel.Rectangle) =>
        new(kernel, bandwidth, InitialThreshold: 0.8f, Room: Preset.RoomFor(n));

    static SparsityPenalty.TargetL0 Target(int k) => new(k) { Coefficient = 1000, WarmupFraction = 0.2f };

    static TrainConfig Gated(TrainConfig c) => c with
    {
        LossNormalization = LossNormalization.Sum,
        LearningRate = 3e-3f,
        EncoderInitNorm = 0.3f,
        DecayFraction = 0.6f,
        Resampling = new(Math.Max(1, (int)(c.Steps / 8)), 3, Inputs: (int)Math.Min(819_200, c.Vectors / 8),
            RecoverySteps: Math.Max(1, (int)(c.Steps / 40))),
    };

    static TrainConfig DeepMind(TrainConfig c) =>
        c with
        {
            LossNormalization = LossNormalization.Sum,
            LearningRate = 3e-3f,
            Beta1 = 0,
            EncoderInitNorm = 0.3f,
            DecayFraction = 0.2f
        };

    static TrainConfig January(TrainConfig c) => c with
    {
        LossNormalization = LossNormalization.Sum,
        LearningRate = 2e-3f,
        WarmupFraction = 0,
        DecayFraction = 0.2f,
        Clip = ClipKind.GlobalNorm,
        DecoderInit = DecoderInit.Uniform,
        EncoderInitNorm = 0,
        DecoderBias = DecoderBiasInit.Zero,
        FoldDecoderNorms = true,
        InitialFiringRate = 0.1,
    };

    public static IReadOnlyList<Preset> All { get; } =
    [
        new("gated", "Rajamanoharan et al. 2024, arXiv 2404.16014",
            "f = 1[π > 0] relu(e^r(π − b_gate) + b_mag); ‖x − x̂‖² + λ Σ relu(π) + ‖x − x̂(relu π)‖², its decoder "
                + "frozen; unit decoder",
            "lr 3e-4, batch 4096, Adam without momentum (β 0, 0.999); resampling, then lr/10 and a cosine back over "
                + "1000 steps",
            (d, n, k) =>
                Make(d, n, new Selection.Gated(Room: Preset.RoomFor(n)),
                    new SparsityPenalty.L1 { Coefficient = 4.9f, WarmupFraction = 0.5f }),
                Gated),
        new("gated-ri-l1", "SAELens' gated; the gated baseline of Rajamanoharan et al. 2024, arXiv 2407.14435",
            "gated with λ Σ relu(π) ‖d‖, free norms, and the auxiliary reconstruction's decoder live", "",
            (d, n, k) =>
                Make(d, n, new Selection.Gated(LiveAuxDecoder: true, Room: Preset.RoomFor(n)),
                    new SparsityPenalty.L1 { Coefficient = 4.3f, WarmupFraction = 0.5f, Weight = PenaltyWeight.DecoderNorm }) with { DecoderNorm = DecoderNorm.Free },
            c => Gated(c) with { Resampling = null, FoldDecoderNorms = true }),
        new("jumprelu", "Rajamanoharan et al. 2024, arXiv 2407.14435",
            "f = z 1[z > θ]; ‖x − x̂‖² + λ Σ 1[z > θ]; ∂θ by a rectangle kernel; θ = e^t; unit decoder",
            "ε 0.001 and θ₀ 0.001 for inputs of mean square 1, lr 7e-5, batch 4096, β 0, 0.999, λ warm-up 10k steps",
            (d, n, k) =>
                Make(d, n, Jump(n, 0.5f), new SparsityPenalty.L0 { Coefficient = 0.55f, WarmupFraction = 0.2f }),
                DeepMind),
        new("jumprelu-target", "dictionary_learning, and Gemma Scope 2 without its prefixes",
            "jumprelu with λ (L0 / target − 1)²", "",
            (d, n, k) => Make(d, n, Jump(n, 0.5f), Target(k)), DeepMind),
        new("gemma-scope-2", "Gemma Scope 2 (2025)",
            "jumprelu; mean over prefixes m of ‖x − b − f[:m] WDec[:m]‖² + λ (L0 / target − 1)²", "",
            (d, n, k) =>
                Make(d, n, Jump(n, 0.5f), Target(k)) with
                {
                    Nested = new Nesting.Prefixes(Preset.PrefixesOf(n), Mean: true)
                }, DeepMind),
        new("jan-2025", "Anthropic, Circuits Updates, January 2025, with its erratum",
            "f = z 1[z > e^t]; ‖x − x̂‖² + λ Σ tanh(4 f ‖d‖) + λ_P Σ relu(e^t − z) ‖d‖; WDec ~ U(±1/√d), WEnc = d/n "
                + "WDecᵀ, b_enc from the data",
            "bandwidth 2, λ 10 to 20 rising over the whole run, λ_P 3e-6, lr 2e-4, batch 32768, each latent firing on "
                + "10,000/n of the inputs at the start",
            (d, n, k) =>
                Make(d, n,
                    new Selection.JumpRelu(SmoothingKernel.Rectangle, 2, 0.1f, ThresholdForm.LogUnchained,
                        Room: Preset.RoomFor(n)),
                new SparsityPenalty.Tanh(4) { Coefficient = 2.8f, WarmupFraction = 1, Weight = PenaltyWeight.DecoderNorm }) with
            { DecoderNorm = DecoderNorm.Free, PreEncoderBias = false, PreAct = new(3e-6f) }, January),
    ];
}
