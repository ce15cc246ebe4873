using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Formats;

/// <summary>A checkpoint as an SAE: that of a run which has not finished, or a file of its own. Weights alone are read,
/// of either backend.</summary>
sealed class CheckpointFormat : ISaeFormat
{
    public string Name => "checkpoint";
    public string Layout => "a run that has not finished: its newest checkpoint/step-N.safetensors, or such a file";

    public bool Recognizes(string path)
    {
        if (Directory.Exists(path)) return Checkpoint.Exists(path);
        if (!File.Exists(path)) return false;
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
        using var file = Directory.Exists(path) ? Newest(path, notes) : CheckpointFile.OpenVerified(path);
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

    static SafetensorsFile Newest(string run, List<string> notes)
    {
        var file = Checkpoint.OpenNewest(run, static _ => { }, out var damaged);
        notes.AddRange(damaged.Select(one => one.Message));
        return file;
    }

    /// <summary>From the checkpoint, or of an older one from train.json of the run that its folder is in.</summary>
    static (SaeSpec, TrainConfig, DataScale) Records(SafetensorsFile file)
    {
        if (Checkpoint.RecordsOf(file) is var (spec, config) && DataScale.From(file.Metadata) is { } scale)
            return (spec, config, scale);
        if (Checkpoint.RunOf(file.Path) is not { } run || !File.Exists(Path.Combine(run, RunRecord.FileName)))
            throw new SaeException($"{file.Path} is of an older version and does not say what SAE it is; "
                + $"put it into RUN/checkpoint beside RUN/{RunRecord.FileName}", kind: SaeErrorKind.Files);
        var record = RunRecord.Load(run);
        return (record.Spec.Validate(), record.Config.Validate(),
            new(record.InputScale, record.Variance, record.TargetScale));
    }

    public IReadOnlyList<string> Write(string path, SaeModel model) =>
        throw new SaeException("a checkpoint is written by training alone; choose a layout of a finished SAE");
}
