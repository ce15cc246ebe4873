using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Formats;
using CudaSae.Model;
using CudaSae.Training;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Runs;

/// <summary>One run on a backend: from rows, spec and config to weights, a saved SAE and its measures. Words for people
/// are its caller's.</summary>
/// <param name="backend">Owned.</param>
/// <param name="trainRows">Training rows: the first ones of the source.</param>
sealed class Runner(IBackend backend, ActivationSource source, long trainRows, DataScale scale) : IDisposable
{
    public IBackend Backend { get; } = backend;
    public DataScale Scale { get; } = scale;

    /// <summary>Where the run goes on; its beginning unless it was resumed.</summary>
    public CheckpointPosition From { get; private set; }

    /// <summary>Rows left out for NaN or infinity.</summary>
    public long SkippedRows { get; private set; }

    /// <summary>Begins with the weights that spec, config and data give.</summary>
    public void Begin(TrainingStart start)
    {
        using var weights = start.Weights(Backend.Spec, Backend.Config);
        Backend.SetParameters(weights);
    }

    /// <summary>Begins with weights of raw activations, which take on the run's scales.</summary>
    public void Begin(SaeParameters raw)
    {
        Folding.TrainedScales(raw, 1 / Scale.InputScale, 1 / Scale.TargetScale);
        Backend.SetParameters(raw);
    }

    /// <summary>Goes on from a run's newest checkpoint.</summary>
    /// <param name="note">Told in one line each which checkpoints are damaged; without it a damaged one is
    /// refused.</param>
    /// <exception cref="SaeException">There is none, it is of another run or of other rows, or it lies behind the end
    /// that the config now has.</exception>
    public void Resume(string folder, Action<string>? note)
    {
        From = Checkpoint.Restore(folder, Backend, Schedules.DeadAfterSteps(Backend.Spec, Backend.Config), note);
        if (Checkpoint.DataOf(From)?.Difference(Training.Trainer.Fingerprint(source, trainRows)) is { } difference)
            throw new SaeException($"the rows are not those that {folder} began with: {difference}; "
                + "resume it on the same rows", kind: SaeErrorKind.Files);
        ResumeRules.RequireAhead(Backend.Config, From.Step);
    }

    /// <summary>The loop of this run.</summary>
    /// <param name="folder">Takes checkpoints; null for none.</param>
    public Trainer Trainer(string? folder, ITrainingObserver observer) =>
        new(Backend, source, trainRows, Scale, folder, observer);

    /// <summary>Trains to the end, or until cancelled.</summary>
    /// <returns>The last step that was finished.</returns>
    public long Train(string? folder, ITrainingObserver observer, CancellationToken cancellation = default)
    {
        var trainer = Trainer(folder, observer);
        trainer.Run(From, cancellation);
        SkippedRows = trainer.SkippedRows;
        return trainer.Step;
    }

    /// <summary>Empties the latents that the config prunes, in the backend: it cannot be trained after that.</summary>
    public void Prune()
    {
        if (Backend.Config.PruneBelow <= 0) return;
        using var weights = new SaeParameters(Backend.Spec);
        Backend.GetParameters(weights);
        Export.Prune(Backend.Spec, weights, Backend.Config.PruneBelow);
        Backend.SetParameters(weights);
    }

    public Evaluation Evaluate(ActivationSource held, long firstRow, long rows) =>
        Evaluator.Run(Backend, held, firstRow, rows, Scale);

    /// <summary>Writes the SAE of raw activations into a folder; the moving average of its weights into average/, and a
    /// Gated one into jumprelu/ too.</summary>
    /// <returns>What a reader should know, a line each.</returns>
    public IReadOnlyList<string> Save(string folder)
    {
        var notes = new List<string>();
        using var weights = new SaeParameters(Backend.Spec);
        Backend.GetParameters(weights);
        Save(folder, weights, notes);
        if (Backend.Config.EmaDecay <= 0) return notes;
        Backend.GetAverage(weights);
        Save(Path.Combine(folder, "average"), weights, notes);
        return notes;
    }

    void Save(string folder, SaeParameters weights, List<string> notes)
    {
        var (spec, config) = (Backend.Spec, Backend.Config);
        var pruned = Export.Finish(spec, config, weights, Scale);
        if (config.PruneBelow > 0)
            notes.Add(FormattableString.CurrentCulture(
                $"{pruned} latents of decoder norm below {config.PruneBelow} pruned"));
        notes.AddRange(new SaeModel(spec, weights).Save(folder));
        if (spec.Selection is not Selection.Gated) return;
        var (jump, same) = Export.AsJumpRelu(spec, weights);
        using (same) new SaeModel(jump, same).Save(Path.Combine(folder, "jumprelu"));
    }

    public void Dispose() => Backend.Dispose();
}
