using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Metrics;

/// <summary>The measurements of one step, on its batch and before its update.</summary>
public sealed record StepMetrics
{
    /// <summary>Number of the step, counted from 1.</summary>
    public required long Step { get; init; }

    /// <summary>Number of rows trained on so far.</summary>
    public required long Vectors { get; init; }

    /// <summary>Total loss: the weighted errors of all reconstructions, and all loss terms below.</summary>
    public required double Loss { get; init; }

    /// <summary>Σ‖x̂ − y‖² / Σ‖y − ȳ‖² over the batch; null if all its rows are equal.</summary>
    public required double? Fvu { get; init; }

    /// <summary>Mean number of nonzero values per row.</summary>
    public required double L0 { get; init; }

    /// <summary>Percentage of latents that have not fired for DeadAfterTokens rows.</summary>
    public required double DeadPercent { get; init; }

    /// <summary>α min(D/k_aux, 1) Σ‖ê + e‖² / Σ‖e − ē‖², with D dead latents, or the ghost loss.</summary>
    public required double AuxLoss { get; init; }

    /// <summary>λ times the penalty, plus the pre-activation loss.</summary>
    public required double Sparsity { get; init; }

    /// <summary>Loss of Gated's auxiliary reconstruction, c Σ‖x̂(relu π) − y‖².</summary>
    public required double GateLoss { get; init; }

    /// <summary>λ of this step.</summary>
    public required double Coefficient { get; init; }

    /// <summary>γ = Σ‖x̂‖² / Σ⟨x̂, y⟩; null if Σ⟨x̂, y⟩ is 0.</summary>
    public required double? Shrinkage { get; init; }

    /// <summary>Norm of the gradient of all parameters, after projection and before clipping.</summary>
    public required double GradientNorm { get; init; }

    /// <summary>Learning rate of this step.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Rows per second since the last report.</summary>
    public required double RowsPerSecond { get; init; }

    /// <summary>2·d·n·rows/s / 10⁹. It uses the time of the whole step, so it is a lower bound of the encoder's
    /// rate.</summary>
    public required double EncodeGflops { get; init; }

    /// <summary>Null. Logs of older versions hold a share of measured limits.</summary>
    public required double? PercentOfLimit { get; init; }

    /// <summary>Number of rows that took the exact fallback in this step.</summary>
    public required long Overflows { get; init; }

    /// <summary>Whether the step took the dense path.</summary>
    public required bool Dense { get; init; }

    /// <summary>Largest difference of the last dense check; null if there was none.</summary>
    public required double? DenseDifference { get; init; }

    // The times of phases (SaeStep) are null on a GPU, where phases are queued rather than awaited, and in lines of
    // older runs.
    /// <summary>Milliseconds of the phase prepare; null on a GPU.</summary>
    public double? PrepareMs { get; init; }

    /// <summary>Milliseconds of the phase encode; null on a GPU.</summary>
    public double? EncodeMs { get; init; }

    /// <summary>Milliseconds of the phase decode; null on a GPU.</summary>
    public double? DecodeMs { get; init; }

    /// <summary>Milliseconds of the phase aux; null on a GPU.</summary>
    public double? AuxMs { get; init; }

    /// <summary>Milliseconds of the phase backward; null on a GPU.</summary>
    public double? BackwardMs { get; init; }

    /// <summary>Milliseconds of the phase optimize; null on a GPU.</summary>
    public double? OptimizeMs { get; init; }

    /// <summary>Milliseconds of the phase latents; null on a GPU.</summary>
    public double? LatentsMs { get; init; }

    // The counts of 8-bit screening start with the run and are null before its first audit.
    /// <summary>Number of audited steps, whose code was computed with and without screening.</summary>
    public long? ScreeningAudits { get; init; }

    /// <summary>Number of entries of the exact code that screening lost in audited steps.</summary>
    public long? ScreeningMisses { get; init; }

    /// <summary>Largest amount by which a lost entry exceeds the entry that replaced it.</summary>
    public double? ScreeningShortfall { get; init; }

    // The waiting times are null without a feeder and in lines of older runs.
    /// <summary>Milliseconds per step, since the last report, of waiting for a batch: the data is slower than the
    /// steps.</summary>
    public double? InputWaitMs { get; init; }

    /// <summary>Milliseconds per step, since the last report, for which the feeder waited for a slot: the steps are
    /// slower than the data.</summary>
    public double? FeederWaitMs { get; init; }

    internal static StepMetrics From(in StepSums sums, in StepScalars scalars, SaeSpec spec, TrainConfig config,
        double rowsPerSecond, double? denseDifference,
        PhaseTimes? times = null)
    {
        var aux = scalars.LossScale * sums.Ghost;
        if (spec.Aux is { } a && sums.AuxVariance > 0 && sums.AuxSquaredError > 0)
            aux += a.Coefficient * Math.Min((double)sums.Dead / a.K, 1) * sums.AuxSquaredError / sums.AuxVariance;
        var sparsity = scalars.Penalty * sums.Penalty + scalars.PreAct * sums.PreAct;
        var gate = scalars.LossScale * sums.GateError;
        return new()
        {
            Step = sums.Step,
            Vectors = (long)sums.Step * config.BatchRows,
            Loss = scalars.LossScale * sums.LevelError + aux + sparsity + gate,
            Fvu = Ratio.Of(sums.SquaredError, sums.Spread),
            L0 = (double)sums.Active / config.BatchRows,
            DeadPercent = 100.0 * sums.Dead / spec.Latents,
            AuxLoss = aux,
            Sparsity = sparsity,
            GateLoss = gate,
            Coefficient = scalars.Penalty * config.BatchRows,
            Shrinkage = Ratio.Of(2 * sums.ReconstructionNorm, sums.ReconstructionNorm
                + sums.SquaredNorm - sums.SquaredError),
            GradientNorm = sums.GradientNorm,
            LearningRate = scalars.LearningRate,
            RowsPerSecond = rowsPerSecond,
            EncodeGflops = 2.0 * spec.InputWidth * spec.Latents * rowsPerSecond / 1e9,
            PercentOfLimit = null,
            Overflows = sums.Overflows,
            Dense = sums.Dense == 1,
            DenseDifference = denseDifference,
            PrepareMs = times?[StepPhase.Prepare],
            EncodeMs = times?[StepPhase.Encode],
            DecodeMs = times?[StepPhase.Decode],
            AuxMs = times?[StepPhase.Aux],
            BackwardMs = times?[StepPhase.Backward],
            OptimizeMs = times?[StepPhase.Optimize],
            LatentsMs = times?[StepPhase.Latents],
            ScreeningAudits = sums.ScreeningAudits > 0 ? sums.ScreeningAudits : null,
            ScreeningMisses = sums.ScreeningAudits > 0 ? sums.ScreeningMisses : null,
            ScreeningShortfall = sums.ScreeningAudits > 0 ? sums.ScreeningShortfall : null,
        };
    }
}
