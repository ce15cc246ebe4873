using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Formats;

/// <summary>Reads a checkpoint as an SAE: the newest one of a run that has not finished, or a single file. Only the
/// weights are read, from checkpoints of either backend.</summary>
sealed class CheckpointFormat : ISaeFormat
{
    public string Name => "checkpoint";
    public string Layout => "a run that has not finished: its newest checkpoint, or a file "
        + "checkpoint/step-N.safetensors or step-N.index.json";

    public bool Recognizes(string path)
    {
        if (Directory.Exists(path)) return Checkpoint.Exists(path);
        if (!File.Exists(path)) return false;
        if (CheckpointFolder.IsIndex(path)) return true;
        try
        {
            using var file = TensorFile.Open(path);
            return file is SafetensorsFile && file.Metadata.ContainsKey("step") && file.Metadata.ContainsKey("position")
                && file.Tensors.ContainsKey("last_fired");
        }
        catch (Exception e) when (e is SaeException or IOException or UnauthorizedAccessException) { return false; }
    }

    public SaeModel Read(string path)
    {
        var notes = new List<string>();
        using var file = Directory.Exists(path) ? Newest(path, notes) : Checkpoint.Open(path);
        var (spec, config, scale) = Records(file);
        var at = Checkpoint.Position(file);
        notes.Add($"read from the checkpoint {file.Path}, step {at.Step} of {config.Steps}");
        var weights = new CheckpointWeights(file, spec).Read();
        try
        {
            Export.Finish(spec, config, weights, scale);
            return new(spec, weights) { Notes = notes };
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    static TensorFile Newest(string run, List<string> notes)
    {
        var file = Checkpoint.OpenNewest(run, static _ => { }, out var damaged);
        notes.AddRange(damaged.Select(one => one.Message));
        return file;
    }

    /// <summary>Returns the records of the checkpoint, or, for checkpoints of older versions, those in train.json of
    /// the run's folder.</summary>
    static (SaeSpec, TrainConfig, DataScale) Records(TensorFile file)
    {
        if (Checkpoint.RecordsOf(file) is var (spec, config) && DataScale.From(file.Metadata) is { } scale)
            return (spec, config, scale);
        if (Checkpoint.RunOf(file.Path) is not { } run || !File.Exists(Path.Combine(run, RunRecord.FileName)))
            throw new SaeException($"{file.Path} is of an older version and does not describe its SAE; "
                + $"put it into RUN/checkpoint beside RUN/{RunRecord.FileName}", kind: SaeErrorKind.Files);
        var record = RunRecord.Load(run);
        return (record.Spec.Validate(), record.Config.Validate(),
            new(record.InputScale, record.Variance, record.TargetScale));
    }

    public IReadOnlyList<string> Write(string path, SaeModel model) =>
        throw new SaeException("only training writes checkpoints; choose a layout of a finished SAE");
}
