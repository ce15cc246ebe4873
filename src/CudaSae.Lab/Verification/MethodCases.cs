using CudaSae.Model;

namespace CudaSae.Lab.Verification;

/// <summary>The methods of the field, each term of each loss at least once; thresholded ones on both paths.</summary>
sealed partial record VerifyCase
{
    static SaeSpec With(Selection selection, SparsityPenalty? penalty = null) =>
        Free with { Selection = selection, Penalty = penalty };

    static SparsityPenalty.L1 L1(PenaltyWeight weight = PenaltyWeight.One) =>
        new() { Coefficient = 0.3f, WarmupFraction = 0, Weight = weight };

    static Selection.JumpRelu Jump(SmoothingKernel kernel = SmoothingKernel.Rectangle,
        ThresholdForm form = ThresholdForm.Log) =>
        new(kernel, Bandwidth: 0.5f, Form: form, Room: 160);

    static readonly SparsityPenalty L0 = new SparsityPenalty.L0 { Coefficient = 0.3f, WarmupFraction = 0 };
    static readonly SparsityPenalty TanhByNorm = new SparsityPenalty.Tanh(0.5f)
    {
        Coefficient = 0.3f, WarmupFraction = 0, Weight = PenaltyWeight.DecoderNorm
    };
    static readonly Selection.Relu Relu = new(160);
    static readonly Nesting.Prefixes Prefixes = new([20, 60, 100]),
        RandomPrefixes = new([1, 1, 1], Random: true, Mean: true);

    static IEnumerable<VerifyCase> MethodCases() =>
        [.. Thresholded().SelectMany(BothPaths), .. Bounded(), .. Shapes(), .. Optimizers()];

    /// <summary>Every published recipe at a small size, with the optimizer's ε raised; its own clipping, constraints
    /// and losses.</summary>
    static IEnumerable<VerifyCase> PresetCases() => Preset.All.Select(preset =>
    {
        var (spec, config) = preset.Make(24, 64, 8, Adam);
        config = config with { Epsilon = 0.1f, Resampling = null, FoldDecoderNorms = false, PruneBelow = 0 };
        return new VerifyCase($"preset {preset.Name}", Smaller(spec), config, Steps: 2, Dense: spec.IsThresholded);
    });

    /// <summary>Widths that a preset leaves to the data, and an AuxK that the small problem's dead can fill.</summary>
    static SaeSpec Smaller(SaeSpec spec) => spec with
    {
        Transcoder = spec.Transcoder is { } transcoder ? transcoder with { OutputWidth = 20 } : null,
        Sites = spec.Sites is null ? null : [10, 14],
        Aux = spec.Aux is { } aux ? aux with { K = 8, DeadAfterTokens = 16 } : null,
        Ghost = spec.Ghost is { } ghost ? ghost with { DeadAfterTokens = 16 } : null,
    };

    static IEnumerable<VerifyCase> BothPaths(VerifyCase c) => [c, c with { Name = $"{c.Name}, dense", Dense = true }];

    static IEnumerable<VerifyCase> Thresholded() =>
    [
        new("relu, L1", With(Relu, L1()), Sgd, Steps: 1, LearningRate: 0.25f),
        new("relu, L1, unit decoder, no pre-encoder bias",
            With(Relu, L1()) with { DecoderNorm = DecoderNorm.Unit, PreEncoderBias = false }, Adam),
        new("relu, L1 by decoder norm", With(Relu, L1(PenaltyWeight.DecoderNorm)),
            Adam with { Clip = ClipKind.GlobalNorm }),
        new("relu, L1 by detached norm, norm at most 1",
            With(Relu, L1(PenaltyWeight.DecoderNormDetached)) with { DecoderNorm = DecoderNorm.AtMostOne },
            Adam with { Beta1 = 0 }),
        new("relu, tanh", With(Relu, TanhByNorm), Adam),
        new("relu, Lp", With(Relu, new SparsityPenalty.Lp(0.6f) { Coefficient = 0.3f, WarmupFraction = 0 }), Adam),
        new("relu, odd shapes", With(new Selection.Relu(131), L1()) with { InputWidth = 37, Latents = 131 }, Adam,
            Rows: 13),
        new("relu, aux", With(Relu, L1()) with { Aux = new(8, 0.5f, 16) }, Adam, Steps: 2),
        new("relu, ghosts", With(Relu, L1()) with { Ghost = new(16, Window: 64) }, Adam, Steps: 4) { Adjust = Muffle },
        new("relu, all are ghosts", With(Relu, L1()) with { Ghost = new(1000, AllFirstSteps: 2, Window: 160) }, Adam,
            Steps: 3) { Adjust = Muffle },
        new("gated", With(new Selection.Gated(Room: 160), L1()), Sgd, Steps: 1, LearningRate: 0.25f),
        new("gated, live decoder, L1 by norm",
            With(new Selection.Gated(LiveAuxDecoder: true, Room: 160), L1(PenaltyWeight.DecoderNorm)), Adam),
        new("gated, no rescaling, clip by row",
            With(new Selection.Gated(Rescale: false, Room: 160), L1()) with { DecoderNorm = DecoderNorm.Unit },
            Adam with { Clip = ClipKind.PerRow, ClipNorm = 0.2f }),
        new("jumprelu, L0", With(Jump(), L0), Sgd, Steps: 1, LearningRate: 0.25f),
        new("jumprelu, target L0, θ itself",
            With(Jump(SmoothingKernel.Triangular, ThresholdForm.Direct),
                new SparsityPenalty.TargetL0(30) { Coefficient = 3, WarmupFraction = 0 }),
            Adam),
        .. Enum.GetValues<SmoothingKernel>().Skip(2)
            .Select(kernel => new VerifyCase($"jumprelu, {kernel}, gradient to z",
                With(Jump(kernel) with { InputGradient = true }, L0), Adam, Steps: 2)),
        new("jumprelu, adaptive bandwidth", With(Jump() with { AdaptiveBandwidth = true, Bandwidth = 0.1f }, L0), Adam),
        new("jumprelu, tanh and pre-activation loss",
            With(Jump(form: ThresholdForm.LogUnchained), TanhByNorm) with { PreAct = new(0.01f) },
            Adam with { Clip = ClipKind.GlobalNorm }),
        new("jumprelu, pre-activation loss of the dead",
            With(Jump(), L0) with { PreAct = new(0.02f, DeadOnly: true, 16) }, Adam),
        new("relu, matryoshka, aux", With(Relu, L1()) with { Nested = Prefixes, Aux = new(8, 0.5f, 16) }, Adam,
            Steps: 2),
        new("relu, random prefixes, mean",
            With(Relu, L1(PenaltyWeight.DecoderNorm)) with
            {
                Nested = RandomPrefixes, DecoderNorm = DecoderNorm.AtMostOne
            },
            Adam),
        new("jumprelu, matryoshka", With(Jump(), L0) with { Nested = Prefixes }, Sgd, Steps: 1, LearningRate: 0.25f),
        new("jumprelu, random prefixes, gradient to z, target L0",
            With(Jump(SmoothingKernel.Triangular) with { InputGradient = true },
                new SparsityPenalty.TargetL0(30) { Coefficient = 3, WarmupFraction = 0 }) with
            { Nested = RandomPrefixes with { Mean = false }, PreAct = new(0.01f) }, Adam with
            {
                Clip = ClipKind.GlobalNorm
            }),
        new("gated, matryoshka, live decoder",
            With(new Selection.Gated(LiveAuxDecoder: true, Room: 160), L1(PenaltyWeight.DecoderNorm)) with
            {
                Nested = Prefixes with { Mean = true }
            },
            Adam),
        new("gated, random prefixes, skip",
            With(new Selection.Gated(Room: 160), L1()) with
            {
                Nested = RandomPrefixes, Transcoder = new(24, Skip: true), PreEncoderBias = false
            },
            Adam),
        new("relu, crosscoder", With(Relu, L1(PenaltyWeight.DecoderNorm)) with { Sites = [20, 28] }, Adam),
        new("relu, tied", With(Relu, L1()) with { Tying = Tying.Tied, DecoderNorm = DecoderNorm.Unit }, Adam),
        new("relu, scaled tie", With(Relu, L1()) with { Tying = Tying.Scaled }, Adam),
    ];

    /// <summary>Small inputs, so that e to the power of a pre-activation stays small too.</summary>
    static void Muffle(ref StepScalars scalars) => scalars.InputScale = 0.125f;

    static IEnumerable<VerifyCase> Bounded() =>
    [
        new("abs top-k", With(new Selection.AbsTopK(6)), Adam),
        new("abs top-k, odd shapes", With(new Selection.AbsTopK(5)) with { InputWidth = 37, Latents = 131 }, Sgd,
            Steps: 1, Rows: 13, LearningRate: 0.25f),
        new("batch top-k", With(new Selection.BatchTopK(6, 0.9f)), Adam),
        new("batch top-k, inference", With(new Selection.BatchTopK(4, 0f)), Adam, Steps: 2)
        {
            Adjust = (ref s) => s.Inference = s.Step == 2 ? 1u : 0
        },
        new("group max", With(new Selection.GroupMax(8)), Adam),
        new("annealed k", With(new Selection.TopK(4, InitialK: 12, AnnealFraction: 1)), Adam)
        {
            Adjust = (ref s) => s.K = 14 - 3 * s.Step
        },
        new("multi top-k",
            With(new Selection.TopK(4)) with { Nested = new Nesting.Budgets([4, 16], [1, 0.125f], Report: 4) }, Adam),
        new("hierarchical top-k",
            With(new Selection.TopK(5)) with
            {
                Nested = new Nesting.Budgets([1, 2, 3, 4, 5], [0.2f, 0.2f, 0.2f, 0.2f, 0.2f]), Aux = new(8, 0.5f, 16)
            },
            Adam),
        new("matryoshka", With(new Selection.BatchTopK(6)) with { Nested = Prefixes, Aux = new(8, 0.5f, 16) }, Adam),
        new("matryoshka, random prefixes, mean",
            With(new Selection.TopK(6)) with { Nested = RandomPrefixes, DecoderNorm = DecoderNorm.Unit }, Sgd,
            LearningRate: 0.25f),
        new("top-k, L1", With(new Selection.TopK(6), L1(PenaltyWeight.DecoderNorm)), Adam),
        new("top-k, ghosts", With(new Selection.TopK(6)) with { Ghost = new(16, Window: 32) }, Adam)
        {
            Adjust = Muffle
        },
    ];

    static IEnumerable<VerifyCase> Shapes() =>
    [
        new("transcoder",
            With(new Selection.TopK(6)) with
            {
                Transcoder = new(24), PreEncoderBias = false, DecoderNorm = DecoderNorm.Unit
            },
            Adam),
        new("transcoder, wider output, relu", With(Relu, L1()) with { Transcoder = new(70), PreEncoderBias = false },
            Adam, Dense: true),
        new("transcoder, skip, gated",
            With(new Selection.Gated(LiveAuxDecoder: true, Room: 160), L1()) with
            {
                Transcoder = new(24, Skip: true), PreEncoderBias = false
            },
            Adam with { Clip = ClipKind.GlobalNorm }),
        new("transcoder, skip, matryoshka",
            With(new Selection.TopK(6)) with
            {
                Transcoder = new(24, Skip: true), PreEncoderBias = false, Nested = new Nesting.Prefixes([50])
            },
            Adam),
        new("tied top-k", With(new Selection.TopK(6)) with { Tying = Tying.Tied, DecoderNorm = DecoderNorm.Unit },
            Adam),
    ];

    static IEnumerable<VerifyCase> Optimizers() =>
    [
        new("adamw", Unit, Adam with { WeightDecay = 0.1f }),
        new("lazy row adam", Unit, Adam with { Optimizer = OptimizerKind.LazyRowAdam }, Steps: 4),
        new("signum", Free, Adam with { Optimizer = OptimizerKind.Signum }, Steps: 1),
        new("moments in bfloat16", Unit, Adam with { Moments = MomentStorage.BFloat16 }) { Slack = 200 },
        new("moments in eight bits", Unit, Adam with { Moments = MomentStorage.Int8 }) { Slack = 2000 },
        new("decoder alone", With(Relu), Adam with { Trainable = Trainable.Decoder | Trainable.DecoderBias }),
        new("rescale and shift", With(new Selection.Gated(Room: 160)),
            Adam with { Trainable = Trainable.MagnitudeBias | Trainable.MagnitudeScale }),
    ];
}
