using CudaSae.Backends;
using CudaSae.Metrics;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>Runs successive steps on inputs that are already in a slot. It applies the schedules, the path, and the
/// decisions of a run from its measurements. <see cref="Trainer"/> feeds it from files, <see cref="SaeTrainer"/> from
/// its caller's memory.</summary>
sealed class StepDriver(IBackend backend, DataScale scale)
{
    public TrainerState State { get; } = new(backend.Spec, backend.Config);

    /// <summary>The last completed step.</summary>
    public long Step { get; set; }

    public SaeStep Order { get; } = new(backend);

    // Times of even and odd steps. Both are kept because a step is reported after the next one has run.
    readonly PhaseTimes[]? times = backend.IsSynchronous ? [new(), new()] : null;

    /// <summary>Runs the next step.</summary>
    /// <param name="slot">Slot of the input.</param>
    /// <param name="timed">Whether to measure the times of its phases.</param>
    /// <returns>A line for the log if the run made a decision; otherwise null.</returns>
    public string? Run(int slot, bool timed = false)
    {
        backend.Dense = State.Dense;
        Order.Run(slot, Scalars(Step + 1), timed ? times?[(Step + 1) & 1] : null);
        Step++;
        return State.After(Step, backend);
    }

    /// <summary>Returns the times of the last step or the one before; null if they were not measured.</summary>
    public PhaseTimes? TimesOf(long step) => times?[step & 1] is { } found && found.Step == step ? found : null;

    public StepScalars Scalars(long step)
    {
        var scalars = Schedules.Scalars(backend.Spec, backend.Config, scale, step);
        scalars.Penalty *= (float)State.PenaltyFactor;
        return scalars;
    }
}
