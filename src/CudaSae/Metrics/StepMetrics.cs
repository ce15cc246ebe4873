using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Metrics;

/// <summary>What one step measured, on its own batch and before its update.</summary>
public sealed record StepMetrics
{
    public required long Step { get; init; }
    public required long Vectors { get; init; }             // rows seen so far
    public required double Loss { get; init; } // everything below, weighted, and the reconstructions' errors
    // Σ‖x̂ − y‖² / Σ‖y − ȳ‖² over the batch; null where its rows are all equal
    public required double? Fvu { get; init; }
    public required double L0 { get; init; }                // values ≠ 0 per row
    public required double DeadPercent { get; init; }       // latents silent for DeadAfterTokens
    public required double AuxLoss { get; init; } // α min(D/k_aux, 1) Σ‖ê + e‖² / Σ‖e − ē‖², or the ghost loss
    public required double Sparsity { get; init; }          // λ times the penalty, and the pre-activation loss
    public required double GateLoss { get; init; }          // c Σ‖x̂(relu π) − y‖²
    public required double Coefficient { get; init; }       // λ of this step
    public required double? Shrinkage { get; init; }        // γ = Σ‖x̂‖² / Σ⟨x̂, y⟩; null where Σ⟨x̂, y⟩ is 0
    public required double GradientNorm { get; init; }      // all parameters, after projection, before clipping
    public required double LearningRate { get; init; }
    public required double RowsPerSecond { get; init; }     // since the last report
    // 2·d·n·rows/s: the whole step's time, so a lower bound of the encoder's own rate
    public required double EncodeGflops { get; init; }
    public required double? PercentOfLimit { get; init; }   // null; older runs have a share of measured ceilings
    public required long Overflows { get; init; }           // rows that took the exact fallback in this step
    public required bool Dense { get; init; }               // whether the step took the dense path
    public required double? DenseDifference { get; init; }  // worst of the last dense check, null when there was none

    // Milliseconds of the step's phases (SaeStep), null where phases are queued rather than awaited: on a GPU. Not in
    // lines of older runs.
    public double? PrepareMs { get; init; }
    public double? EncodeMs { get; init; }
    public double? DecodeMs { get; init; }
    public double? AuxMs { get; init; }
    public double? BackwardMs { get; init; }
    public double? OptimizeMs { get; init; }
    public double? LatentsMs { get; init; }

    // Of 8-bit screening since the run began, null before its first audit.
    public long? ScreeningAudits { get; init; }             // steps whose code was computed both ways
    public long? ScreeningMisses { get; init; }             // entries of the exact code that screening lost in them
    public double? ScreeningShortfall { get; init; }        // the largest of them above what took its place

    // Milliseconds a step since the last report, null without a feeder. Not in lines of older runs.
    public double? InputWaitMs { get; init; } // that it waited for its batch: the data are slower than the steps
    public double? FeederWaitMs { get; init; } // that the feeder waited for a slot: the steps are slower than the data

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
