using System.Diagnostics;
using CudaSae.Feeding;
using CudaSae.Metrics;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>Determines the steps that are logged, and the values of a line that are not sums of the step: the rate, the
/// waiting times and the dense check since the previous line.</summary>
sealed class StepLog
{
    readonly TrainConfig config;
    readonly BatchTap feeder;
    readonly Stopwatch clock = Stopwatch.StartNew();
    long reported;
    (TimeSpan Input, TimeSpan Feeder, long Step) waits;     // values at the last line

    /// <summary>Starts the log.</summary>
    /// <param name="step">The last completed step.</param>
    public StepLog(TrainConfig config, BatchTap feeder, long step) =>
        (this.config, this.feeder, reported, waits) =
            (config, feeder, step, (feeder.InputWait, feeder.FeederWait, step));

    /// <summary>Largest difference of the last dense check that is not yet logged; null if there is none.</summary>
    public double? DenseDifference { get; set; }

    public bool IsLogged(long step) => step % config.LogEvery == 0 || step == config.Steps;

    /// <summary>Returns whether a step is not yet logged.</summary>
    public bool IsNew(long step) => step > reported;

    /// <summary>Returns the rows per second from the last line to a step.</summary>
    public double RowsPerSecond(long step) => (step - reported) * config.BatchRows / clock.Elapsed.TotalSeconds;

    /// <summary>Completes a line and starts the counts of the next one.</summary>
    /// <param name="now">The last completed step; the line may describe the one before.</param>
    /// <returns>The line with the waiting times since the last line.</returns>
    public StepMetrics Close(StepMetrics line, long now)
    {
        line = line with
        {
            InputWaitMs = MsAStep(feeder.InputWait - waits.Input, now),
            FeederWaitMs = MsAStep(feeder.FeederWait - waits.Feeder, now)
        };
        waits = (feeder.InputWait, feeder.FeederWait, now);
        (reported, DenseDifference) = (line.Step, null);
        clock.Restart();
        return line;
    }

    double? MsAStep(TimeSpan wait, long now) => now > waits.Step ? wait.TotalMilliseconds / (now - waits.Step) : null;

    /// <summary>Records that the run returned to a step, so that later steps are logged again.</summary>
    public void GoBack(long step) => reported = step;
}
