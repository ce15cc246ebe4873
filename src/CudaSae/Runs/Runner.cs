using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Distributed;
using CudaSae.Formats;
using CudaSae.Model;
using CudaSae.Training;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Runs;

/// <summary>Trains, evaluates and saves one run on a backend. It prints nothing; that is the caller's task.</summary>
/// <param name="backend">Owned.</param>
/// <param name="trainRows">Number of training rows, which are the first rows of the source.</param>
sealed class Runner(IBackend backend, ActivationSource source, long trainRows, DataScale scale) : IDisposable
{
    public IBackend Backend { get; } = backend;
    public DataScale Scale { get; } = scale;

    /// <summary>The position at which training starts: that of a checkpoint if the run is resumed.</summary>
    public CheckpointPosition From { get; private set; }

    /// <summary>Number of rows that were left out because they hold NaN or infinity.</summary>
    public long SkippedRows { get; private set; }

    /// <summary>Starts from the weights that spec, config and data determine. A rank makes those of its own
    /// latents.</summary>
    public void Begin(TrainingStart start)
    {
        using var weights = start.Weights(Backend.Spec, Backend.Config, Backend.Shard);
        Backend.SetParameters(weights);
    }

    /// <summary>Starts from weights for raw activations, and converts them to the run's scales in place.</summary>
    /// <param name="raw">The weights of all latents, also on several ranks.</param>
    public void Begin(SaeParameters raw)
    {
        Folding.TrainedScales(raw, 1 / Scale.InputScale, 1 / Scale.TargetScale);
        if (Backend.Shard is not { } shard)
        {
            Backend.SetParameters(raw);
            return;
        }
        using var own = OwnLatents.Rows(raw, shard);
        Backend.SetParameters(own);
    }

    /// <summary>Resumes from a run's newest checkpoint.</summary>
    /// <param name="note">Takes one line on each damaged checkpoint; null to refuse a damaged one.</param>
    /// <exception cref="SaeException">There is no checkpoint, it belongs to another run or other rows, or its step is
    /// after the end of the run.</exception>
    public void Resume(string folder, Action<string>? note)
    {
        From = Checkpoint.Restore(folder, Backend, Schedules.DeadAfterSteps(Backend.Spec, Backend.Config), note);
        if (Checkpoint.DataOf(From)?.Difference(Training.Trainer.Fingerprint(source, trainRows)) is { } difference)
            throw new SaeException($"the rows are not those that {folder} began with: {difference}; "
                + "resume it on the same rows", kind: SaeErrorKind.Files);
        ResumeRules.RequireAhead(Backend.Config, From.Step);
    }

    /// <summary>Creates the training loop of this run.</summary>
    /// <param name="folder">The folder for checkpoints; null for none.</param>
    public Trainer Trainer(string? folder, ITrainingObserver observer) =>
        new(Backend, source, trainRows, Scale, folder, observer);

    /// <summary>Trains to the end, or until it is cancelled.</summary>
    /// <returns>The last step that was finished.</returns>
    public long Train(string? folder, ITrainingObserver observer, CancellationToken cancellation = default)
    {
        var trainer = Trainer(folder, observer);
        trainer.Run(From, cancellation);
        SkippedRows = trainer.SkippedRows;
        return trainer.Step;
    }

    /// <summary>Empties the latents that the config prunes. The backend cannot train after this call.</summary>
    public void Prune()
    {
        if (Backend.Config.PruneBelow <= 0) return;
        var own = OwnLatents.Of(Backend.Spec, Backend.Shard);
        using var weights = new SaeParameters(own);
        Backend.GetParameters(weights);
        Export.Prune(own, weights, Backend.Config.PruneBelow);
        Backend.SetParameters(weights);
    }

    /// <summary>Measures the SAE on rows.</summary>
    public Evaluation Evaluate(RowSlice held) => Evaluator.Run(Backend, held, Scale);

    /// <summary>Returns a copy of the current SAE, for raw activations. All ranks of a run call it, and rank 0 gets the
    /// SAE of all latents.</summary>
    /// <returns>Null on ranks other than 0.</returns>
    public SaeModel? Model()
    {
        if (ShardWeights.Gather(Backend) is not { } weights) return null;
        Export.Finish(Backend.Spec, Backend.Config, weights, Scale);
        return new(Backend.Spec, weights);
    }

    /// <summary>Writes the SAE for raw activations into a folder. The moving average of its weights is written into
    /// average/, and a Gated SAE also as a JumpReLU SAE into jumprelu/. All ranks of a run call it. Rank 0 receives the
    /// weights of the others and writes the files of a single process. If the matrices exceed a limit, each rank writes
    /// a piece instead, and no rank needs memory for the weights of all latents.</summary>
    /// <param name="limit">The largest size of the encoder and the decoder in one file of several ranks, in
    /// bytes.</param>
    /// <returns>Notes for the user, one line each; none on ranks other than 0.</returns>
    public IReadOnlyList<string> Save(string folder, long limit = ShardPlan.MaxFileBytes) =>
        new FinishedSae(Backend, Scale, limit).Save(folder);

    public void Dispose() => Backend.Dispose();
}
