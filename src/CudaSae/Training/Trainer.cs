using System.Text.Json;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Feeding;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Training;

/// <summary>The loop: feed, step, measure one step late, save. No mathematics.</summary>
sealed class Trainer(IBackend backend, ActivationSource source, long trainRows, DataScale scale, string? runFolder,
    ITrainingObserver observer)
{
    readonly TrainConfig config = backend.Config;
    readonly StepDriver driver = new(backend, scale);
    readonly Resampler resampler = new(backend, source, trainRows, scale);
    readonly DivergenceGuard guard = new(backend.Config);
    BatchTap feeder = null!;
    StepLog log = null!;
    CheckpointWriter? checkpoints;
    DataFingerprint? fingerprint;
    string? diverged;       // why, from a log line until the end of its step

    /// <summary>The last step that was finished.</summary>
    public long Step => driver.Step;

    /// <summary>Rows left out for NaN or infinity.</summary>
    public long SkippedRows { get; private set; }

    /// <summary>Trains from a position to the end, or until cancelled: then a checkpoint is saved first.</summary>
    /// <returns>False when cancelled.</returns>
    /// <exception cref="SaeException">The data hold NaN, or the loss became NaN: nothing is saved over the last good
    /// checkpoint.</exception>
    public bool Run(CheckpointPosition from, CancellationToken cancellation)
    {
        using var own = new BatchFeeder(source, trainRows, backend, config, from.Cursor);
        try
        {
            foreach (var _ in Steps(from, own.Taps[0], cancellation)) { }
            return Finished;
        }
        finally { SkippedRows += own.SkippedRows; }
    }

    /// <summary>Whether the last step was the run's last.</summary>
    internal bool Finished => Step >= config.Steps;

    /// <summary>The same one step at a time, for several runs in turn: what is enumerated are the steps done. It ends
    /// as <see cref="Run"/> does.</summary>
    internal IEnumerable<long> Steps(CheckpointPosition from, BatchTap batches, CancellationToken cancellation)
    {
        if (from.State is { } saved)
        {
            driver.State.Load(saved);
            guard.Load(saved);
        }
        feeder = batches;
        using var writer = runFolder is null ? null
            : new CheckpointWriter(runFolder, backend, observer.Saved, observer.Note);
        checkpoints = writer;
        foreach (var step in Loop(from, cancellation)) yield return step;
        writer?.Finish();
    }

    IEnumerable<long> Loop(CheckpointPosition from, CancellationToken cancellation)
    {
        GoTo(from.Step);
        (log, diverged) = (new(config, feeder, Step), null);
        var cursor = from.Cursor;
        StepSums? measured = null;      // of the last step, where they were read at once
        if (guard.RollsBack && Step == 0) Save(cursor, null);
        while (!Finished && !cancellation.IsCancellationRequested)
        {
            TakeStep(feeder.Next(out cursor));
            var due = DueAfter(Step);
            measured = due.Save || due.Resample || guard.IsOn && Finished ? backend.ReadSums() : null;
            if (Divergence(measured) is { } why)
            {
                GoBack(why);
                measured = null;
                continue;
            }
            if (measured is { } sums) Follow(due, sums, cursor);
            yield return Step;
        }
        if (Step > from.Step) End(measured ?? backend.ReadSums(), cursor);
        else if (Step == 0) Save(cursor, null);
    }

    /// <summary>The next step, and the line of the one before: one step late, so that the device never waits for the
    /// log.</summary>
    void TakeStep(int slot)
    {
        var late = log.IsLogged(Step) && log.IsNew(Step);
        if (config.ValidateEvery > 0 && (Step + 1) % config.ValidateEvery == 0)
        {
            if (late) Report(backend.ReadSums());       // before other sums take the place of its own
            late = false;
            log.DenseDifference = Validate(slot);
        }
        var decided = driver.Run(slot, log.IsLogged(Step + 1));
        feeder.Release();
        observer.Stepped(Step, backend);
        checkpoints?.Poll();
        if (late) Report(backend.ReadEarlierSums());
        if (decided is not null) observer.Note(decided);
    }

    /// <summary>What a step's number alone asks for once it is done.</summary>
    (bool Resample, bool Save) DueAfter(long step) => (config.Resampling?.IsDue(step) == true,
        checkpoints is not null && config.CheckpointEvery > 0 && step % config.CheckpointEvery == 0
            && step < config.Steps);

    /// <summary>Its line comes before a checkpoint, which a resumed run goes on behind, and before resampling reads
    /// other rows.</summary>
    void Follow((bool Resample, bool Save) due, in StepSums sums, RowCursor cursor)
    {
        if (log.IsLogged(Step)) Report(sums);
        if (due.Resample) Resample();
        if (due.Save) Save(cursor, Measure(sums).Fvu);
    }

    /// <summary>The last line and the last checkpoint. A run that was stopped at a divergence does not save it:
    /// resuming it rolls back to the last checkpoint.</summary>
    void End(in StepSums sums, RowCursor cursor)
    {
        if (guard.IsOn && Look(sums, Step) is { } why)
        {
            if (!guard.RollsBack) throw Stopped(why, Step);
            observer.Note($"step {Step}: {why}; this step is not saved");
            return;
        }
        if (log.IsNew(Step)) Report(sums);
        Save(cursor, Measure(sums).Fvu);
    }

    void Report(in StepSums sums)
    {
        var line = log.Close(Measure(sums, log.RowsPerSecond(sums.Step), log.DenseDifference,
            driver.TimesOf(sums.Step)),
            Step);
        // the guard rolls back: Measure stops a run otherwise
        if (!double.IsFinite(line.Loss)) diverged = $"the loss became {line.Loss}";
        else observer.Report(line);
    }

    /// <summary>Why the run must go back, from the step before and, where its sums were read, from this one; null if it
    /// need not.</summary>
    string? Divergence(StepSums? measured)
    {
        if (!guard.IsOn) return null;
        var why = diverged ?? Look(backend.ReadEarlierSums(), Step - 1)
            ?? (measured is { } last ? Look(last, Step) : null);
        diverged = null;
        return why;
    }

    /// <summary>Why that step is a divergence. After a return the sums before are of another step.</summary>
    string? Look(in StepSums sums, long step) => sums.Step == step ? guard.Look(Measure(sums)) : null;

    StepMetrics Measure(in StepSums sums, double rowsPerSecond = 0, double? denseDifference = null,
        PhaseTimes? times = null)
    {
        var metrics = StepMetrics.From(sums, driver.Scalars(sums.Step), backend.Spec, config, rowsPerSecond,
            denseDifference, times);
        return double.IsFinite(metrics.Loss) || guard.RollsBack ? metrics
            : throw Stopped($"the loss became {metrics.Loss}", sums.Step);
    }

    static SaeException Stopped(string why, long step) =>
        new($"{why} at step {step}; --resume from the last checkpoint with a lower --learning-rate or with --clip, or "
            + "with --on-divergence rollback",
            kind: SaeErrorKind.Numbers);

    /// <summary>Back to the newest checkpoint, and on with the rows that come now.</summary>
    void GoBack(string why)
    {
        var step = Step;
        if (!guard.RollsBack || checkpoints is null) throw Stopped(why, step);
        checkpoints.Finish();
        var position =
            Checkpoint.Restore(runFolder!, backend, Schedules.DeadAfterSteps(backend.Spec, config), observer.Note);
        guard.Returned(why, step, position.Step);
        driver.State.Load(position.State!);
        guard.Load(position.State!);
        GoTo(position.Step);
        log.GoBack(Step);
        observer.Note($"step {step}: {why}; back to the checkpoint of step {position.Step}, and the "
            + $"{step - position.Step} batches since are passed over");
    }

    void GoTo(long step)
    {
        driver.Step = step;
        guard.Begin(step);
    }

    /// <summary>In the slots, which get their batches back.</summary>
    void Resample() => feeder.Aside(() =>
    {
        var (resampled, kept) = resampler.Run(Step, driver.Order);
        observer.Note($"step {Step}: {resampled} latents "
            + $"resampled{(kept > 0 ? $", {kept} silent ones protected" : "")}");
    });

    /// <summary>The dense check on the next batch.</summary>
    double Validate(int slot)
    {
        backend.Dense = driver.State.Dense;
        driver.Order.Evaluate(slot, driver.Scalars(Step + 1));
        var check = backend.CheckAgainstDense();
        var worst = Math.Max(check.WorstValue, Math.Max(check.WorstSelection, check.WorstReconstruction));
        if (!check.Passed)
            throw new SaeException($"step {Step + 1} differs from the dense check by {worst:0.0e+0}, "
                + $"rounding explains {check.Tolerance:0.0e+0}; run cudasae verify on this machine");
        return worst;
    }

    /// <summary>With what a resumed run must find again: the scales, and what the rows are.</summary>
    void Save(RowCursor cursor, double? fvu)
    {
        if (checkpoints is null) return;
        fingerprint ??= Fingerprint(source, trainRows);
        var data = JsonSerializer.Serialize(fingerprint, CheckpointJson.Compact.DataFingerprint);
        var state = new Dictionary<string, string>(
            [.. driver.State.Save(), .. guard.Save(), .. scale.Save(), new(Checkpoint.DataKey, data)]);
        checkpoints.Save(new(Step, cursor, state, fvu));
    }

    internal static DataFingerprint Fingerprint(ActivationSource source, long trainRows) =>
        DataFingerprint.Of(source, [source.Width], 0, trainRows);
}
