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

    /// <summary>Something happened that a reader of the log wants to know: the path changed, latents were resampled.</summary>
    void Note(string line) { }

    /// <summary>After every step, before the next one begins: for those who count latents. Reading from the backend waits for the step.</summary>
    void Stepped(long step, IBackend backend) { }
}

/// <summary>The loop: feed, step, measure one step late, save. No mathematics.</summary>
public sealed class Trainer(IBackend backend, ActivationSource source, long trainRows, DataScale scale, string? runFolder, ITrainingObserver observer,
    Ceilings? ceilings = null)
{
    readonly TrainConfig config = backend.Config;
    readonly StepDriver driver = new(backend, scale);
    readonly double? floorMs = ceilings?.FloorMs(backend.Spec, backend.Config);
    readonly Resampler resampler = new(backend, source, trainRows, scale);
    BatchFeeder feeder = null!;
    CheckpointWriter? checkpoints;

    /// <summary>The last step that was finished.</summary>
    public long Step => driver.Step;

    /// <summary>Rows left out for NaN or infinity.</summary>
    public long SkippedRows { get; private set; }

    /// <summary>Trains from a position to the end, or until cancelled: then a checkpoint is saved first.</summary>
    /// <returns>False when cancelled.</returns>
    /// <exception cref="SaeException">The data hold NaN, or the loss became NaN: nothing is saved over the last good checkpoint.</exception>
    public bool Run(CheckpointPosition from, CancellationToken cancellation)
    {
        if (from.State is { } saved) driver.State.Load(saved);
        feeder = new BatchFeeder(source, trainRows, backend, config, from.Cursor);
        using var writer = runFolder is null ? null : new CheckpointWriter(runFolder, backend, observer.Saved, observer.Note);
        checkpoints = writer;
        try
        {
            var finished = Loop(from, cancellation);
            writer?.Finish();
            return finished;
        }
        finally
        {
            SkippedRows += feeder.SkippedRows;
            feeder.Dispose();
        }
    }

    bool Loop(CheckpointPosition from, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        long reported = driver.Step = from.Step;
        double? denseDifference = null;
        var cursor = from.Cursor;
        while (Step < config.Steps && !cancellation.IsCancellationRequested)
        {
            var slot = feeder.Next(out cursor);
            var due = Step > from.Step && Step % config.LogEvery == 0;
            if (config.ValidateEvery > 0 && (Step + 1) % config.ValidateEvery == 0)
            {
                if (due) Report(backend.ReadSums());
                due = false;
                denseDifference = Validate(slot);
            }
            var decided = driver.Run(slot);
            feeder.Release();
            observer.Stepped(Step, backend);
            checkpoints?.Poll();
            double? fvu = IsSaveDue() ? Measure(backend.ReadSums(), 0, null).Fvu : null;
            if (decided is not null) observer.Note(decided);
            if (config.Resampling?.IsDue(Step) == true) Resample(cursor);
            if (due) Report(backend.ReadEarlierSums());     // one step late, so that the device never waits for the log
            if (IsSaveDue()) Save(cursor, fvu);
        }
        if (Step > from.Step)
        {
            var sums = backend.ReadSums();
            Report(sums);
            Save(cursor, Measure(sums, 0, null).Fvu);
        }
        else if (Step == 0) Save(cursor, null);
        return Step >= config.Steps;

        bool IsSaveDue() => checkpoints is not null && config.CheckpointEvery > 0 && Step % config.CheckpointEvery == 0 && Step < config.Steps;

        void Report(in StepSums sums)
        {
            this.Report(sums, (sums.Step - reported) * config.BatchRows / clock.Elapsed.TotalSeconds, denseDifference);
            (reported, denseDifference) = (sums.Step, null);
            clock.Restart();
        }
    }

    void Report(in StepSums sums, double rowsPerSecond, double? denseDifference) => observer.Report(Measure(sums, rowsPerSecond, denseDifference));

    StepMetrics Measure(in StepSums sums, double rowsPerSecond, double? denseDifference)
    {
        var metrics = StepMetrics.From(sums, driver.Scalars(sums.Step), backend.Spec, config, rowsPerSecond, denseDifference, floorMs);
        return double.IsFinite(metrics.Loss) ? metrics
            : throw new SaeException($"the loss became {metrics.Loss} at step {sums.Step}; --resume from the last checkpoint with a lower --learning-rate or with --clip");
    }

    /// <summary>The feeder gives up its slots meanwhile, and then goes on where it was.</summary>
    void Resample(RowCursor cursor)
    {
        SkippedRows += feeder.SkippedRows;
        feeder.Dispose();
        var (resampled, kept) = resampler.Run(Step, driver.Order);
        observer.Note($"step {Step}: {resampled} latents resampled{(kept > 0 ? $", {kept} silent ones protected" : "")}");
        feeder = new BatchFeeder(source, trainRows, backend, config, cursor);
    }

    /// <summary>The dense path on the batch that is about to be trained on.</summary>
    double Validate(int slot)
    {
        backend.Dense = driver.State.Dense;
        driver.Order.Evaluate(slot, driver.Scalars(Step + 1));
        var check = backend.CheckAgainstDense();
        if (!check.Passed)
            throw new SaeException($"step {Step + 1} differs from the dense path by {Math.Max(check.WorstValue, Math.Max(check.WorstSelection, check.WorstReconstruction)):0.0e+0}, "
                + $"rounding explains {check.Tolerance:0.0e+0}; run cudasae verify on this machine");
        return Math.Max(check.WorstValue, Math.Max(check.WorstSelection, check.WorstReconstruction));
    }

    void Save(RowCursor cursor, double? fvu) => checkpoints?.Save(new(Step, cursor, new Dictionary<string, string>(driver.State.Save()), fvu));
}
