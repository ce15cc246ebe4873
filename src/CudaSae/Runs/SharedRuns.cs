using System.Diagnostics;
using CudaSae.Activations;
using CudaSae.Feeding;
using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Runs;

/// <summary>One of several runs that share their batches.</summary>
/// <param name="folder">Takes its checkpoints; null for none.</param>
sealed class SharedRun(Runner runner, string? folder, ITrainingObserver observer)
{
    public Runner Runner { get; } = runner;
    public string? Folder { get; } = folder;
    public ITrainingObserver Observer { get; } = observer;

    /// <summary>Time of its own turns.</summary>
    public TimeSpan Turns { get; internal set; }

    /// <summary>Its steps since it began or went on.</summary>
    public long Steps { get; internal set; }
}

/// <summary>Several runs over the same batches: each batch is read once and every run takes a step on it in turn, with
/// all of the machine for itself. So each ends with the bits of the same run alone.
/// Runs that were resumed at different steps meet where the furthest of them is.</summary>
/// <param name="runs">Of one seed, batch size and way with rows that are not finite.</param>
/// <param name="finished">Told after a run's last step; the feeder does not touch its backend any more.</param>
/// <param name="failed">Told when a run failed; the others go on.</param>
sealed class SharedRuns(ActivationSource source, long trainRows, IReadOnlyList<SharedRun> runs,
    Action<SharedRun> finished, Action<SharedRun, SaeException> failed)
{
    /// <summary>Whether two runs can share their batches: the order of rows, and where one batch ends, are theirs
    /// alone.</summary>
    public static bool CanShare(TrainConfig a, TrainConfig b) =>
        (a.Seed, a.BatchRows, a.ShuffleWindow, a.NonFinite) == (b.Seed, b.BatchRows, b.ShuffleWindow, b.NonFinite);

    /// <summary>Rows left out for NaN or infinity.</summary>
    public long SkippedRows { get; private set; }

    /// <summary>Trains all to their ends, or until cancelled: then each saves a checkpoint of the same step.</summary>
    /// <returns>False when cancelled.</returns>
    /// <exception cref="SaeException">The data cannot be read on, or the machine failed: that concerns all.</exception>
    public bool Run(CancellationToken cancellation)
    {
        var behind = runs.MinBy(run => run.Runner.From.Step)!.Runner.From;
        using var feeder = new BatchFeeder(source, trainRows,
            [.. runs.Select(run => (run.Runner.Backend, run.Runner.From.Step - behind.Step))],
            runs[0].Runner.Backend.Config, behind.Cursor);
        using var stop = new CancellationTokenSource(); // cancelled between two rounds, so that all stop at one step
        List<Turn> turns = [.. runs.Select((run, i) => new Turn(run, feeder.Taps[i], stop.Token))];
        try
        {
            for (var step = behind.Step; turns.Count > 0 && !stop.IsCancellationRequested; step++)
            {
                if (cancellation.IsCancellationRequested) stop.Cancel();
                turns.RemoveAll(turn => turn.Run.Runner.From.Step <= step && !Take(turn, feeder));
            }
            return !stop.IsCancellationRequested;
        }
        finally
        {
            foreach (var turn in turns) turn.Dispose();
            SkippedRows = feeder.SkippedRows;
        }
    }

    /// <summary>A step, or what comes after the last one.</summary>
    /// <returns>False when the run has ended, in whatever way.</returns>
    bool Take(Turn turn, BatchFeeder feeder)
    {
        try
        {
            if (turn.Next()) return true;
            turn.Tap.Leave();
            if (turn.Finished) finished(turn.Run);
        }
        catch (SaeException e) when (feeder.Failure is null && IsItsOwn(e))
        {
            turn.Tap.Leave();
            failed(turn.Run, e);
        }
        turn.Dispose();
        return false;
    }

    /// <summary>Whether an error is this run's alone, and not the machine's: a full disk, no memory, a device that
    /// failed.</summary>
    internal static bool IsItsOwn(SaeException e) =>
        (e.Kind is SaeErrorKind.Input or SaeErrorKind.Numbers)
            && !(e.InnerException is { } inner && AtomicFile.IsRefusal(inner));

    sealed class Turn(SharedRun run, BatchTap tap, CancellationToken stop) : IDisposable
    {
        readonly Trainer trainer = run.Runner.Trainer(run.Folder, run.Observer);
        IEnumerator<long>? steps;

        public SharedRun Run => run;
        public BatchTap Tap => tap;
        public bool Finished => trainer.Finished;

        public bool Next()
        {
            var start = Stopwatch.GetTimestamp();
            var more = (steps ??= trainer.Steps(run.Runner.From, tap, stop).GetEnumerator()).MoveNext();
            run.Turns += Stopwatch.GetElapsedTime(start);
            if (more) run.Steps++;
            return more;
        }

        public void Dispose() => steps?.Dispose();
    }
}
