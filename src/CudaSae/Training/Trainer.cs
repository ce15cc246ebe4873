using System.Text.Json;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Feeding;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Training;

/// <summary>The training loop: it feeds batches, runs steps, measures one step late and saves checkpoints.</summary>
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
    long begun;             // step at which this process begins
    string? diverged;       // reason of a divergence that a log line found, until the end of its step

    /// <summary>The last completed step.</summary>
    public long Step => driver.Step;

    /// <summary>Number of rows skipped because of NaN or infinity.</summary>
    public long SkippedRows { get; private set; }

    /// <summary>Trains from a position to the end. A cancelled run saves a checkpoint and stops.</summary>
    /// <returns>False if the run was cancelled.</returns>
    /// <exception cref="SaeException">The data holds NaN, or the loss became NaN. The last good checkpoint is not
    /// overwritten.</exception>
    public bool Run(CheckpointPosition from, CancellationToken cancellation)
    {
        StepAgreement.RequireSameData(backend, () => Fingerprint(source, trainRows));
        using var own = new BatchFeeder(source, trainRows, backend, config, from.Cursor);
        try
        {
            foreach (var _ in Steps(from, own.Taps[0], cancellation)) { }
            return Finished;
        }
        finally { SkippedRows += own.SkippedRows; }
    }

    /// <summary>Whether the run has completed its last step.</summary>
    internal bool Finished => Step >= config.Steps;

    /// <summary>Trains one step at a time, so that several runs can alternate, and yields the completed steps. It ends
    /// like <see cref="Run"/>.</summary>
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
        GoTo(begun = from.Step);
        (log, diverged) = (new(config, feeder, Step), null);
        var cursor = from.Cursor;
        StepSums? measured = null;      // sums of the last step if they are already read
        if (guard.RollsBack && Step == 0) Save(cursor, null);
        while (!Finished && !StepAgreement.Stops(backend, Step, cancellation))
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

    /// <summary>Runs the next step and logs the previous one. The log is one step late so that the device does not wait
    /// for it.</summary>
    void TakeStep(int slot)
    {
        var late = log.IsLogged(Step) && log.IsNew(Step);
        var first = Step == begun;
        StepAgreement.RequireSameRows(backend, slot, Step + 1, first);
        if (config.ValidateEvery > 0 && (Step + 1) % config.ValidateEvery == 0)
        {
            if (late) Report(backend.ReadSums());       // before the check overwrites its sums
            late = false;
            log.DenseDifference = Validate(slot);
        }
        var decided = driver.Run(slot, log.IsLogged(Step + 1));
        StepAgreement.RequireSameTargets(backend, slot, Step, first);
        feeder.Release();
        observer.Stepped(Step, backend);
        checkpoints?.Poll();
        if (late) Report(backend.ReadEarlierSums());
        if (decided is not null) observer.Note(decided);
    }

    /// <summary>Returns the actions that the number of a step requires after it.</summary>
    (bool Resample, bool Save) DueAfter(long step) => (config.Resampling?.IsDue(step) == true,
        checkpoints is not null && config.CheckpointEvery > 0 && step % config.CheckpointEvery == 0
            && step < config.Steps);

    /// <summary>Logs the step before a checkpoint, after which a resumed run continues, and before resampling reads
    /// other rows.</summary>
    void Follow((bool Resample, bool Save) due, in StepSums sums, RowCursor cursor)
    {
        if (log.IsLogged(Step)) Report(sums);
        if (due.Resample) Resample();
        if (due.Save) Save(cursor, Measure(sums).Fvu);
    }

    /// <summary>Writes the last line and the last checkpoint. A run that stops at a divergence does not save it;
    /// resuming the run rolls back to the last checkpoint.</summary>
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
        // The guard rolls back here; otherwise Measure stops the run.
        if (!double.IsFinite(line.Loss)) diverged = $"the loss became {line.Loss}";
        else observer.Report(line);
    }

    /// <summary>Returns the reason for which the run must roll back, from the previous step and, if its sums are read,
    /// from this one; null if there is none.</summary>
    string? Divergence(StepSums? measured)
    {
        if (!guard.IsOn) return null;
        var why = diverged ?? Look(backend.ReadEarlierSums(), Step - 1)
            ?? (measured is { } last ? Look(last, Step) : null);
        diverged = null;
        return why;
    }

    /// <summary>Returns the reason for which a step is a divergence. After a rollback the earlier sums belong to
    /// another step and are ignored.</summary>
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
        new($"{why} at step {step}; resume from the last checkpoint with a lower LearningRate, with gradient "
            + "clipping, or with OnDivergence = Rollback",
            kind: SaeErrorKind.Numbers);

    /// <summary>Returns to the newest checkpoint and continues with the next rows.</summary>
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
            + $"{step - position.Step} batches since are skipped");
    }

    void GoTo(long step)
    {
        driver.Step = step;
        guard.Begin(step);
    }

    /// <summary>Resamples with the help of the input slots, whose batches are restored afterwards.</summary>
    void Resample() => feeder.Aside(() =>
    {
        var (resampled, kept) = resampler.Run(Step, driver.Order);
        observer.Note($"step {Step}: {resampled} latents "
            + $"resampled{(kept > 0 ? $", {kept} dead ones protected" : "")}");
    });

    /// <summary>Runs the dense check on the next batch.</summary>
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

    /// <summary>Saves a checkpoint with the data that a resumed run compares: the scales and the fingerprint of the
    /// rows.</summary>
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
        DataFingerprint.Of(new(source, 0, trainRows), [source.Width]);
}
