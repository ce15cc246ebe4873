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
    readonly DivergenceGuard guard = new(backend.Config);
    BatchTap feeder = null!;
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

    /// <summary>The same one step at a time, for several runs in turn: what is enumerated are the steps done. It ends as <see cref="Run"/> does.</summary>
    internal IEnumerable<long> Steps(CheckpointPosition from, BatchTap batches, CancellationToken cancellation)
    {
        if (from.State is { } saved)
        {
            driver.State.Load(saved);
            guard.Load(saved);
        }
        feeder = batches;
        using var writer = runFolder is null ? null : new CheckpointWriter(runFolder, backend, observer.Saved, observer.Note);
        checkpoints = writer;
        foreach (var step in Loop(from, cancellation)) yield return step;
        writer?.Finish();
    }

    IEnumerable<long> Loop(CheckpointPosition from, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        long reported = driver.Step = from.Step;
        guard.Begin(Step);
        double? denseDifference = null;
        StepSums? measured = null;      // of the last step, where they were read at once
        string? diverged = null;
        var waits = (Input: feeder.InputWait, Feeder: feeder.FeederWait, Step: Step);     // at the last report
        var cursor = from.Cursor;
        if (guard.RollsBack && Step == 0) Save(cursor, null);
        while (Step < config.Steps && !cancellation.IsCancellationRequested)
        {
            var slot = feeder.Next(out cursor);
            var due = IsLogged(Step) && Step > reported;
            if (config.ValidateEvery > 0 && (Step + 1) % config.ValidateEvery == 0)
            {
                if (due) Report(backend.ReadSums());
                due = false;
                denseDifference = Validate(slot);
            }
            var decided = driver.Run(slot, IsLogged(Step + 1));
            feeder.Release();
            observer.Stepped(Step, backend);
            checkpoints?.Poll();
            if (due) Report(backend.ReadEarlierSums());     // one step late, so that the device never waits for the log
            if (decided is not null) observer.Note(decided);
            var (save, resample) = (IsSaveDue(), config.Resampling?.IsDue(Step) == true);
            measured = save || resample || guard.IsOn && Step == config.Steps ? backend.ReadSums() : null;
            if (guard.IsOn) diverged ??= Look(backend.ReadEarlierSums(), Step - 1) ?? (measured is { } last ? Look(last, Step) : null);
            if (diverged is not null)
            {
                GoBack(diverged);
                (diverged, measured, reported) = (null, null, Step);
                continue;
            }
            if (measured is { } now && IsLogged(Step)) Report(now);     // before a checkpoint, which a resumed run goes on behind, and before resampling reads other rows
            if (resample) Resample();
            if (save) Save(cursor, Measure(measured!.Value, 0, null).Fvu);
            yield return Step;
        }
        if (Step > from.Step)
        {
            var sums = measured ?? backend.ReadSums();
            if (guard.IsOn && Look(sums, Step) is { } why)      // of a run that is stopped: it goes back when it is gone on with
            {
                if (!guard.RollsBack) throw Stopped(why, Step);
                observer.Note($"step {Step}: {why}; this step is not saved");
                yield break;
            }
            if (Step > reported) Report(sums);
            Save(cursor, Measure(sums, 0, null).Fvu);
        }
        else if (Step == 0) Save(cursor, null);

        bool IsLogged(long step) => step % config.LogEvery == 0 || step == config.Steps;

        bool IsSaveDue() => checkpoints is not null && config.CheckpointEvery > 0 && Step % config.CheckpointEvery == 0 && Step < config.Steps;

        void Report(in StepSums sums)
        {
            var metrics = Measure(sums, (sums.Step - reported) * config.BatchRows / clock.Elapsed.TotalSeconds, denseDifference, driver.TimesOf(sums.Step));
            metrics = metrics with { InputWaitMs = MsAStep(feeder.InputWait - waits.Input), FeederWaitMs = MsAStep(feeder.FeederWait - waits.Feeder) };
            waits = (feeder.InputWait, feeder.FeederWait, Step);
            if (!double.IsFinite(metrics.Loss)) diverged = $"the loss became {metrics.Loss}";       // the guard rolls back: Measure stops a run otherwise
            else observer.Report(metrics);
            (reported, denseDifference) = (sums.Step, null);
            clock.Restart();
        }

        double? MsAStep(TimeSpan wait) => Step > waits.Step ? wait.TotalMilliseconds / (Step - waits.Step) : null;
    }

    /// <summary>Why that step is a divergence. After a return the sums before are of another step.</summary>
    string? Look(in StepSums sums, long step) => sums.Step == step ? guard.Look(Measure(sums, 0, null)) : null;

    StepMetrics Measure(in StepSums sums, double rowsPerSecond, double? denseDifference, PhaseTimes? times = null)
    {
        var metrics = StepMetrics.From(sums, driver.Scalars(sums.Step), backend.Spec, config, rowsPerSecond, denseDifference, floorMs, times);
        return double.IsFinite(metrics.Loss) || guard.RollsBack ? metrics : throw Stopped($"the loss became {metrics.Loss}", sums.Step);
    }

    static SaeException Stopped(string why, long step) =>
        new($"{why} at step {step}; --resume from the last checkpoint with a lower --learning-rate or with --clip, or with --on-divergence rollback", kind: SaeErrorKind.Numbers);

    /// <summary>Back to the newest checkpoint, and on with the rows that come now.</summary>
    void GoBack(string why)
    {
        var step = Step;
        if (!guard.RollsBack || checkpoints is null) throw Stopped(why, step);
        checkpoints.Finish();
        var position = Checkpoint.Restore(runFolder!, backend, Schedules.DeadAfterSteps(backend.Spec, config), observer.Note);
        guard.Returned(why, step, position.Step);
        driver.State.Load(position.State!);
        guard.Load(position.State!);
        driver.Step = position.Step;
        guard.Begin(Step);
        observer.Note($"step {step}: {why}; back to the checkpoint of step {position.Step}, and the {step - position.Step} batches since are passed over");
    }

    /// <summary>In the slots, which get their batches back.</summary>
    void Resample() => feeder.Aside(() =>
    {
        var (resampled, kept) = resampler.Run(Step, driver.Order);
        observer.Note($"step {Step}: {resampled} latents resampled{(kept > 0 ? $", {kept} silent ones protected" : "")}");
    });

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

    void Save(RowCursor cursor, double? fvu) => checkpoints?.Save(new(Step, cursor, new Dictionary<string, string>(driver.State.Save().Concat(guard.Save())), fvu));
}
