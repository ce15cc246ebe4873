using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Metrics;
using CudaSae.Numerics;

namespace CudaSae.Native;

/// <summary>A trainer, and what it was made with.</summary>
sealed unsafe class OpenTrainer(TrainerSettings settings) : IDisposable, INamed
{
    public static string Name => "a trainer";

    public SaeTrainer Trainer { get; } = settings.Create();
    public BackendKind Backend => settings.Backend;
    public InputType InputType => settings.InputType;

    public Span<byte> Rows(void* rows, long count, long width) =>
        Arguments.Matrix(rows, count, width, Trainer.Spec.RowWidth, InputType.Bytes(), "the batch");

    /// <summary>As <see cref="Rows"/>, of a step's number.</summary>
    public Span<byte> Batch(void* rows, long count, long width) =>
        count == Trainer.Config.BatchRows ? Rows(rows, count, width)
        : throw new SaeException($"the batch has {count} rows; this trainer steps on batch_rows = "
            + $"{Trainer.Config.BatchRows}");

    public void Dispose() => Trainer.Dispose();
}

/// <summary>cudasae_trainer_info of cudasae.h.</summary>
[StructLayout(LayoutKind.Sequential)]
unsafe struct TrainerInfo
{
    public long RowWidth, InputWidth, OutputWidth, Latents, BatchRows, TotalSteps, Steps;
    public int InputType, Reserved;
    public fixed byte Description[256];

    public static TrainerInfo Of(OpenTrainer open)
    {
        var (spec, trainer) = (open.Trainer.Spec, open.Trainer);
        var info = new TrainerInfo
        {
            RowWidth = spec.RowWidth, InputWidth = spec.InputWidth, OutputWidth = spec.OutputWidth,
            Latents = spec.Latents, BatchRows = trainer.Config.BatchRows,
            TotalSteps = trainer.Config.Steps, Steps = trainer.Steps, InputType = (int)open.InputType,
        };
        Arguments.Copy(trainer.Description, new(info.Description, 256));
        return info;
    }
}

/// <summary>cudasae_metrics of cudasae.h.</summary>
[StructLayout(LayoutKind.Sequential)]
struct MetricsRecord
{
    public double Step, Vectors, Loss, Fvu, L0, DeadPercent, AuxLoss, Sparsity, GateLoss, Coefficient, Shrinkage,
        GradientNorm, LearningRate, Overflows, Dense, ReplacedRows;

    public static MetricsRecord Of(StepMetrics m, long replacedRows) => new()
    {
        Step = m.Step, Vectors = m.Vectors, Loss = m.Loss, Fvu = m.Fvu ?? double.NaN, L0 = m.L0,
        DeadPercent = m.DeadPercent, AuxLoss = m.AuxLoss, Sparsity = m.Sparsity, GateLoss = m.GateLoss,
        Coefficient = m.Coefficient, Shrinkage = m.Shrinkage ?? double.NaN, GradientNorm = m.GradientNorm,
        LearningRate = m.LearningRate, Overflows = m.Overflows, Dense = m.Dense ? 1 : 0, ReplacedRows = replacedRows,
    };
}
