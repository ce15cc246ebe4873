using System.Diagnostics;
using CudaSae.Feeding;
using CudaSae.Metrics;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>Which steps have a line in the log, and what it says besides the step's own sums: the rate, the waits and
/// the dense check since the line before.</summary>
sealed class StepLog
{
    readonly TrainConfig config;
    readonly BatchTap feeder;
    readonly Stopwatch clock = Stopwatch.StartNew();
    long reported;
    (TimeSpan Input, TimeSpan Feeder, long Step) waits;     // at the last line

    /// <param name="step">The last step that was finished.</param>
    public StepLog(TrainConfig config, BatchTap feeder, long step) =>
        (this.config, this.feeder, reported, waits) =
            (config, feeder, step, (feeder.InputWait, feeder.FeederWait, step));

    /// <summary>Worst of the last dense check that no line has told yet; null when there was none.</summary>
    public double? DenseDifference { get; set; }

    public bool IsLogged(long step) => step % config.LogEvery == 0 || step == config.Steps;

    /// <summary>Whether no line has told of that step yet.</summary>
    public bool IsNew(long step) => step > reported;

    /// <summary>Rows a second since the last line, up to a step.</summary>
    public double RowsPerSecond(long step) => (step - reported) * config.BatchRows / clock.Elapsed.TotalSeconds;

    /// <summary>Ends a line, and begins to count for the next one.</summary>
    /// <param name="now">The last step that was finished; the line may be of the one before.</param>
    /// <returns>The same with the waits since the last line.</returns>
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

    /// <summary>The run went back to a step: those after it are told of again.</summary>
    public void GoBack(long step) => reported = step;
}
