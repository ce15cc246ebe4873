using System.Diagnostics;
using CudaSae.Activations;
using CudaSae.Feeding;
using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Runs;

/// <summary>One of several runs that share their batches.</summary>
/// <param name="folder">The folder for its checkpoints; null for none.</param>
sealed class SharedRun(Runner runner, string? folder, ITrainingObserver observer)
{
    public Runner Runner { get; } = runner;
    public string? Folder { get; } = folder;
    public ITrainingObserver Observer { get; } = observer;

    /// <summary>The time that its steps took.</summary>
    public TimeSpan Turns { get; internal set; }

    /// <summary>Number of its steps since it was started or resumed.</summary>
    public long Steps { get; internal set; }
}

/// <summary>Trains several runs on the same batches. Each batch is read once, and the runs take their steps on it one
/// after another, each on the whole machine. The result of each run is bitwise that of the run alone. Runs that are
/// resumed at different steps train together from the furthest of these steps on.</summary>
/// <param name="runs">Runs with the same settings of batches (<see cref="CanShare"/>).</param>
/// <param name="finished">Called after a run's last step; the feeder does not use its backend any more.</param>
/// <param name="failed">Called when a run fails; the other runs continue.</param>
sealed class SharedRuns(ActivationSource source, long trainRows, IReadOnlyList<SharedRun> runs,
    Action<SharedRun> finished, Action<SharedRun, SaeException> failed)
{
    /// <summary>Returns whether two runs can share their batches: whether they have the same order of rows and the same
    /// bounds of batches.</summary>
    public static bool CanShare(TrainConfig a, TrainConfig b) =>
        (a.Seed, a.BatchRows, a.ShuffleWindow, a.NonFinite) == (b.Seed, b.BatchRows, b.ShuffleWindow, b.NonFinite);

    /// <summary>Number of rows that were left out because they hold NaN or infinity.</summary>
    public long SkippedRows { get; private set; }

    /// <summary>Trains all runs to their ends, or until they are cancelled. A cancelled run saves a checkpoint; the
    /// checkpoints of all runs are of the same step.</summary>
    /// <returns>False if the runs were cancelled.</returns>
    /// <exception cref="SaeException">The data can no longer be read, or the machine failed. All runs stop.</exception>
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

    /// <summary>Takes one step of a run, or ends the run after its last step or an error.</summary>
    /// <returns>False if the run has ended.</returns>
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

    /// <summary>Returns whether an error concerns one run only. Errors of the machine concern all runs: a full disk,
    /// too little memory, a device that failed.</summary>
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
