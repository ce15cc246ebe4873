using System.Diagnostics;
using CudaSae.Backends;
using CudaSae.Checkpoints;
using CudaSae.Data;
using CudaSae.Metrics;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>What a trainer tells while it runs.</summary>
public interface ITrainingObserver
{
    /// <summary>Every LogEvery steps, one step late.</summary>
    void Report(StepMetrics metrics);
    void Saved(string path);
}

/// <summary>The loop: feed, step, measure one step late, save. No mathematics.</summary>
public sealed class Trainer(IBackend backend, ActivationSource source, long trainRows, DataScale scale, string? runFolder, ITrainingObserver observer,
    Ceilings? ceilings = null)
{
    readonly TrainConfig config = backend.Config;
    readonly SaeStep step = new(backend);
    readonly double? floorMs = ceilings?.FloorMs(backend.Spec, backend.Config);

    /// <summary>The last step that was finished.</summary>
    public long Step { get; private set; }

    /// <summary>Rows left out for NaN or infinity.</summary>
    public long SkippedRows { get; private set; }

    /// <summary>Trains from a position to the end, or until cancelled: then a checkpoint is saved first.</summary>
    /// <returns>False when cancelled.</returns>
    /// <exception cref="SaeException">The data hold NaN, or the loss became NaN: nothing is saved over the last good checkpoint.</exception>
    public bool Run(CheckpointPosition from, CancellationToken cancellation)
    {
        using var feeder = new BatchFeeder(source, trainRows, backend, config, from.Cursor);
        var clock = Stopwatch.StartNew();
        long reported = Step = from.Step;
        double? denseDifference = null;
        var cursor = from.Cursor;
        while (Step < config.Steps && !cancellation.IsCancellationRequested)
        {
            var slot = feeder.Next(out cursor);
            var scalars = Schedules.Scalars(backend.Spec, config, scale, Step + 1);
            var due = Step > from.Step && Step % config.LogEvery == 0;
            if (config.ValidateEvery > 0 && (Step + 1) % config.ValidateEvery == 0)
            {
                if (due) Report(backend.ReadSums());
                due = false;
                denseDifference = Validate(slot, scalars);
            }
            step.Run(slot, scalars);
            feeder.Release();
            Step++;
            if (due) Report(backend.ReadEarlierSums());     // one step late, so that the device never waits for the log
            if (config.CheckpointEvery > 0 && Step % config.CheckpointEvery == 0 && Step < config.Steps) Save(cursor);
        }
        if (Step > from.Step) Report(backend.ReadSums());
        SkippedRows = feeder.SkippedRows;
        Save(cursor);
        return Step >= config.Steps;

        void Report(in StepSums sums)
        {
            this.Report(sums, (sums.Step - reported) * config.BatchRows / clock.Elapsed.TotalSeconds, denseDifference);
            (reported, denseDifference) = (sums.Step, null);
            clock.Restart();
        }
    }

    void Report(in StepSums sums, double rowsPerSecond, double? denseDifference)
    {
        var scalars = Schedules.Scalars(backend.Spec, config, scale, sums.Step);
        var metrics = StepMetrics.From(sums, scalars, backend.Spec, config, rowsPerSecond, denseDifference, floorMs);
        if (!double.IsFinite(metrics.Loss))
            throw new SaeException($"the loss became {metrics.Loss} at step {sums.Step}; lower --learning-rate or clip gradients (--clip), then --resume from the last checkpoint");
        observer.Report(metrics);
    }

    /// <summary>The dense path on the batch that is about to be trained on.</summary>
    double Validate(int slot, in StepScalars scalars)
    {
        step.Evaluate(slot, scalars);
        var check = backend.CheckAgainstDense();
        if (!check.Passed)
            throw new SaeException($"step {scalars.Step} differs from the dense path by {Math.Max(check.WorstValue, Math.Max(check.WorstSelection, check.WorstReconstruction)):0.0e+0}, "
                + $"rounding explains {check.Tolerance:0.0e+0}; run cudasae verify on this machine");
        return Math.Max(check.WorstValue, Math.Max(check.WorstSelection, check.WorstReconstruction));
    }

    void Save(RowCursor cursor)
    {
        if (runFolder is not null) observer.Saved(Checkpoint.Save(runFolder, backend, new(Step, cursor)));
    }
}
