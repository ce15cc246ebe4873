using CudaSae.Model;

namespace CudaSae.Lab.Verification;

/// <summary>A small training run to compare. ε is large, because with Adam's usual 1e-8 the sign of a gradient that is
/// zero except for rounding would determine a whole step. Gradients are of order 1.</summary>
sealed partial record VerifyCase(string Name, SaeSpec Spec, TrainConfig Config, int Steps = 3, int Rows = 16,
    float LearningRate = 0.02f, uint DeadAfterSteps = 1,
    bool Dense = false)
{
    /// <summary>Changes a step's scalars.</summary>
    public delegate void Adjustment(ref StepScalars scalars);

    public Adjustment? Adjust { get; init; }

    /// <summary>Changes the weights before the first step.</summary>
    public Action<SmallProblem>? Prepare { get; init; }

    /// <summary>The factor of the tolerance, for formats of moments that round stochastically.</summary>
    public double Slack { get; init; } = 1;

    static readonly TrainConfig Adam = new() { Epsilon = 0.1f };
    static readonly TrainConfig Sgd = new() { Optimizer = OptimizerKind.Sgd };

    static SaeSpec Spec0(int width = 48, int latents = 160, int active = 6) =>
        new() { InputWidth = width, Latents = latents, Selection = new Selection.TopK(active) };

    static readonly SaeSpec Unit = Spec0(), Free = Spec0() with { DecoderNorm = DecoderNorm.Free };

    public static readonly IReadOnlyList<VerifyCase> All = [.. TopKCases(), .. MethodCases(), .. PresetCases()];

    static IEnumerable<VerifyCase> TopKCases() =>
    [
        new("gradients", Free, Sgd, Steps: 1, LearningRate: 0.25f),
        new("projected gradients", Unit, Sgd, Steps: 1, LearningRate: 0.25f),
        new("adam", Unit, Adam),
        new("adam, free decoder", Free, Adam),
        new("odd shapes", Spec0(37, 131, 5), Adam, Rows: 13),
        new("one latent a row", Spec0(active: 1), Adam),
        new("every latent", Spec0(latents: 24, active: 24), Adam, Rows: 6),
        new("lazy", Unit, Adam with { Beta1 = 0, Lazy = true }, Steps: 4),
        new("beta1 = 0, dense", Unit, Adam with { Beta1 = 0 }, Steps: 4),
        new("clip by row", Unit, Adam with { Clip = ClipKind.PerRow, ClipNorm = 0.2f }),
        new("clip by the previous norm", Unit, Adam with { Clip = ClipKind.PreviousNorm, ClipNorm = 0.5f }),
        new("clip by the global norm", Unit, Sgd with { Clip = ClipKind.GlobalNorm, ClipNorm = 0.5f },
            LearningRate: 0.25f),
        new("bfloat16 storage", Unit, Adam with { Storage = WeightStorage.BFloat16 }),
        new("long runs", Spec0(8, 4, 3) with { DecoderNorm = DecoderNorm.Free }, Sgd, Steps: 1, Rows: 400,
            LearningRate: 0.25f),
        // half of the columns, the first are encoded
        new("8-bit screening", Spec0(24, 1500, 5), Adam with { Screening = ScreeningKind.Int8 }, Steps: 2),
        new("aux gradients, few dead", Unit with { Aux = new(64, 0.5f, 16) }, Sgd, Steps: 2, LearningRate: 0.25f),
        new("aux, chosen of the dead", Unit with { Aux = new(8, 0.5f, 16) }, Adam),
        new("aux without relu", Unit with { Aux = new(8, 0.5f, 16, Relu: false) }, Adam),
    ];

    /// <summary>Whether the case uses the top-k encoder. Other cases need not run on a target that differs only in that
    /// encoder.</summary>
    public bool UsesTopKEncoder => !Spec.IsThresholded;

    internal SmallProblem Problem()
    {
        var problem = new SmallProblem(Spec, Rows, Config);
        Prepare?.Invoke(problem);
        return problem;
    }

    public override string ToString() => Name;
}
