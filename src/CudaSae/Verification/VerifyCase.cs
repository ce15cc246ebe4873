using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Verification;

/// <summary>A small training run to compare. ε is large beside gradients of order 1: with Adam's usual 1e-8 the sign of a
/// gradient that is zero but for rounding would decide a whole step.</summary>
public sealed record VerifyCase(string Name, TrainConfig Config, int Steps = 3, int Rows = 16, int Width = 48, int Latents = 160, int Active = 6,
    AuxLoss? Aux = null, DecoderNorm Norm = DecoderNorm.Unit, float LearningRate = 0.02f, uint DeadAfterSteps = 1)
{
    static readonly TrainConfig Adam = new() { Epsilon = 0.1f };
    static readonly TrainConfig Sgd = new() { Optimizer = OptimizerKind.Sgd };

    public static readonly IReadOnlyList<VerifyCase> All =
    [
        new("gradients", Sgd, Steps: 1, Norm: DecoderNorm.Free, LearningRate: 0.25f),
        new("projected gradients", Sgd, Steps: 1, LearningRate: 0.25f),
        new("adam", Adam),
        new("adam, free decoder", Adam, Norm: DecoderNorm.Free),
        new("odd shapes", Adam, Rows: 13, Width: 37, Latents: 131, Active: 5),
        new("one latent a row", Adam, Active: 1),
        new("every latent", Adam, Rows: 6, Latents: 24, Active: 24),
        new("lazy", Adam with { Beta1 = 0, Lazy = true }, Steps: 4),
        new("beta1 = 0, dense", Adam with { Beta1 = 0 }, Steps: 4),
        new("clip by row", Adam with { Clip = ClipKind.PerRow, ClipNorm = 0.2f }),
        new("clip by the previous norm", Adam with { Clip = ClipKind.PreviousNorm, ClipNorm = 0.5f }),
        new("clip by the global norm", Sgd with { Clip = ClipKind.GlobalNorm, ClipNorm = 0.5f }, LearningRate: 0.25f),
        new("bfloat16 storage", Adam with { Storage = WeightStorage.BFloat16 }),
        new("long runs", Sgd, Steps: 1, Rows: 400, Width: 8, Latents: 4, Active: 3, Norm: DecoderNorm.Free, LearningRate: 0.25f),
        new("aux gradients, few dead", Sgd, Steps: 2, Aux: new(64, 0.5f, 16), LearningRate: 0.25f),
        new("aux, chosen of the dead", Adam, Aux: new(8, 0.5f, 16)),
        new("aux without relu", Adam, Aux: new(8, 0.5f, 16, Relu: false)),
    ];

    internal SmallProblem Problem() => new(Rows, Width, Latents, Active, Aux, Config, norm: Norm);

    public override string ToString() => Name;
}
