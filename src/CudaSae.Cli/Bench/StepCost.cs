using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>The least work of a phase.</summary>
/// <param name="Flops">Floating-point operations; a multiplication and an addition count as two.</param>
/// <param name="Bytes">Bytes that must be read or written once, without regard to caches.</param>
readonly record struct PhaseCost(StepPhase Phase, double Flops, double Bytes)
{
    /// <summary>Operations per byte: the position of the phase on a roofline.</summary>
    public double Intensity => Flops / Bytes;

    /// <summary>Returns the milliseconds at the machine's ceilings: the larger of the two bounds.</summary>
    public double FloorMs(Ceilings machine) =>
        Math.Max(Flops / machine.GemmGflops, Bytes / machine.CopyGigabytes) / 1e6;
}

/// <summary>The least work of a training step, phase by phase. Floors and rates derive from it.
/// docs/internals/benchmarks.md has the formulas.</summary>
sealed class StepCost
{
    readonly PhaseCost[] phases;

    StepCost(PhaseCost[] phases) => this.phases = phases;

    /// <summary>The phases in the order of a step.</summary>
    public IReadOnlyList<PhaseCost> Phases => phases;
    public PhaseCost this[StepPhase phase] => phases[(int)phase];
    public double Flops => phases.Sum(p => p.Flops);
    public double Bytes => phases.Sum(p => p.Bytes);

    /// <summary>Returns the milliseconds of all phases in sequence.</summary>
    public double FloorMs(Ceilings machine) => phases.Sum(p => p.FloorMs(machine));

    /// <param name="device">True for the kernels, whose operands are bfloat16; false for the CPU's float32.</param>
    /// <param name="dead">Number of dead latents. The auxiliary loss uses no more than its window of them, by dense
    /// products.</param>
    public static StepCost Of(SaeSpec spec, TrainConfig config, bool device, int dead = 0)
    {
        // The code of thresholded selections has no fixed length, so its gathers are not counted.
        double B = config.BatchRows, d = spec.InputWidth, D = spec.OutputWidth, n = spec.Latents,
            entries = spec.IsThresholded
            ? 0 : B * spec.Active;
        dead = Math.Min(dead, spec.DeadWindow);
        double operand = device ? 2 : 4, both = d + D;
        // Touched latents if all were equally likely.
        var moved = config.Lazy ? n * (1 - Math.Exp(-entries / n)) : n;
        return new(
        [
            new(StepPhase.Prepare, B * d,
                B * (4 * spec.RowWidth + (4 + operand) * d + (spec.Transcoder is null ? 0 : 4 * D))),
            new(StepPhase.Encode, 2 * B * d * n, operand * (B * d + n * d) + 8 * entries),
            new(StepPhase.Decode, 4 * entries * D, operand * entries * D),
            new(StepPhase.Aux, 4 * B * both * dead, (operand + 4) * dead * both),
            new(StepPhase.Backward, 0, 12 * entries + 8 * n),
            new(StepPhase.Optimize, 2 * entries * both + 20 * Trained(spec, moved),
                operand * entries * both + StateBytes(config, device) * Trained(spec, moved)),
            new(StepPhase.Latents, 0, 8 * entries + 8 * n),
        ]);
    }

    static double Trained(SaeSpec spec, double latents) =>
        latents * (spec.Tying == Tying.Untied ? spec.InputWidth + spec.OutputWidth : spec.OutputWidth);

    /// <summary>Returns the bytes read and written for each weight: the weight, its moments and its average.</summary>
    static double StateBytes(TrainConfig config, bool device)
    {
        double weight = device && config.Storage == WeightStorage.BFloat16 ? 2 : 4;
        double moment = config.Moments switch { MomentStorage.Float32 => 4, MomentStorage.BFloat16 => 2, _ => 1 };
        var moments = config.Optimizer switch
        {
            OptimizerKind.Sgd => 0,
            OptimizerKind.Signum => 1,
            _ => config.Beta1 > 0 ? 2 : 1
        };
        return 2 * (weight + moments * moment + (config.EmaDecay > 0 ? 4 : 0));
    }
}
