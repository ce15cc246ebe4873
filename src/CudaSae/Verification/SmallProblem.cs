using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Verification;

/// <summary>Small seeded SAEs and inputs. Weights and inputs lie on the bfloat16 grid, so that targets which round their
/// operands start from the same numbers as those which do not. Gradients are of order 1 (loss scale 1/B).</summary>
sealed class SmallProblem
{
    public SmallProblem(int rows = 16, int width = 48, int latents = 96, int active = 6, AuxLoss? aux = null, TrainConfig? config = null, ulong seed = 1,
        DecoderNorm norm = DecoderNorm.Unit)
    {
        Spec = new() { InputWidth = width, Latents = latents, Selection = new Selection.TopK(active), Aux = aux, DecoderNorm = norm };
        Config = (config ?? new()) with { BatchRows = rows, Vectors = 1000L * rows };
        Spec.Validate();
        Config.Validate();
        random = new Random((int)seed);
        Parameters = new(Spec);
        for (var f = 0; f < latents; f++)
        {
            double norm2 = 0;
            for (var i = 0; i < width; i++)
            {
                Parameters.WEnc[f][i] = Grid(Normal());
                Parameters.WDec[f][i] = (float)Normal();
                norm2 += Parameters.WDec[f][i] * Parameters.WDec[f][i];
            }
            for (var i = 0; i < width; i++) Parameters.WDec[f][i] = Grid(Parameters.WDec[f][i] / Math.Sqrt(norm2));
            Parameters.BEnc[f] = Grid(0.1 * Normal());
        }
        for (var i = 0; i < width; i++) Parameters.BDec[i] = Grid(0.1 * Normal());
    }

    readonly Random random;

    public SaeSpec Spec { get; }
    public TrainConfig Config { get; }
    public SaeParameters Parameters { get; }

    /// <summary>A batch [B, d] of bfloat16-exact numbers.</summary>
    public float[] Batch()
    {
        var batch = new float[Config.BatchRows * Spec.InputWidth];
        for (var i = 0; i < batch.Length; i++) batch[i] = Grid(Normal());
        return batch;
    }

    /// <summary>Scalars of step t, as the trainer would fill them.</summary>
    public StepScalars Scalars(uint step, float learningRate = 0.01f, uint deadAfterSteps = 2) => new()
    {
        Seed = Config.Seed,
        Step = step,
        LearningRate = learningRate,
        Beta1 = Config.Beta1,
        Beta2 = Config.Beta2,
        Epsilon = Config.Epsilon,
        Correction1 = (float)(1 / (1 - Math.Pow(Config.Beta1, step))),
        Correction2 = (float)(1 / (1 - Math.Pow(Config.Beta2, step))),
        InputScale = 1,
        LossScale = 1f / Config.BatchRows,
        AuxCoefficient = Spec.Aux?.Coefficient ?? 0,
        ClipNorm = Config.ClipNorm,
        EmaDecay = Config.EmaDecay,
        DeadAfterSteps = deadAfterSteps,
    };

    double Normal() => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    static float Grid(double x) => (float)Rounding.ToBFloat16(x);
}
