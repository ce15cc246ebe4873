using CudaSae.Backends;

namespace CudaSae.Training;

/// <summary>Step after step on inputs that already lie in a slot: the schedules' numbers, the path, and what a run decides from its own measurements. <see cref="Trainer"/> feeds it
/// from files, <see cref="SaeTrainer"/> from its caller's memory.</summary>
sealed class StepDriver(IBackend backend, DataScale scale)
{
    public TrainerState State { get; } = new(backend.Spec, backend.Config);

    /// <summary>The last step that was finished.</summary>
    public long Step { get; set; }

    public SaeStep Order { get; } = new(backend);

    /// <summary>The next step.</summary>
    /// <returns>One line for the log when something was decided.</returns>
    public string? Run(int slot)
    {
        backend.Dense = State.Dense;
        Order.Run(slot, Scalars(Step + 1));
        Step++;
        return State.After(Step, backend);
    }

    public StepScalars Scalars(long step)
    {
        var scalars = Schedules.Scalars(backend.Spec, backend.Config, scale, step);
        scalars.Penalty *= (float)State.PenaltyFactor;
        return scalars;
    }
}
