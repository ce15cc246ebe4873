using CudaSae.Backends;
using CudaSae.Metrics;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>Step after step on inputs that already lie in a slot: the schedules' numbers, the path, and what a run
/// decides from its own measurements. <see cref="Trainer"/> feeds it
/// from files, <see cref="SaeTrainer"/> from its caller's memory.</summary>
sealed class StepDriver(IBackend backend, DataScale scale)
{
    public TrainerState State { get; } = new(backend.Spec, backend.Config);

    /// <summary>The last step that was finished.</summary>
    public long Step { get; set; }

    public SaeStep Order { get; } = new(backend);

    // of even steps and of odd ones: a step is reported when the next one has run
    readonly PhaseTimes[]? times = backend.IsSynchronous ? [new(), new()] : null;

    /// <summary>The next step.</summary>
    /// <param name="timed">Whether its phases' times will be asked for.</param>
    /// <returns>One line for the log when something was decided.</returns>
    public string? Run(int slot, bool timed = false)
    {
        backend.Dense = State.Dense;
        Order.Run(slot, Scalars(Step + 1), timed ? times?[(Step + 1) & 1] : null);
        Step++;
        return State.After(Step, backend);
    }

    /// <summary>The times of the last step or of the one before; null where they were not taken.</summary>
    public PhaseTimes? TimesOf(long step) => times?[step & 1] is { } found && found.Step == step ? found : null;

    public StepScalars Scalars(long step)
    {
        var scalars = Schedules.Scalars(backend.Spec, backend.Config, scale, step);
        scalars.Penalty *= (float)State.PenaltyFactor;
        return scalars;
    }
}
