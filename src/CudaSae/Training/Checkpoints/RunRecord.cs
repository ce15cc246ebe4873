using System.Text.Json;
using System.Text.Json.Serialization;
using CudaSae.Activations;
using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Text;

namespace CudaSae.Training.Checkpoints;

/// <summary>What a run is, beside its weights: train.json of its folder.</summary>
/// <param name="InputScale">s of x = s · raw.</param>
/// <param name="Variance">E‖x − x̄‖² of the scaled input.</param>
/// <param name="TrainRows">Training rows: the first of the data; those after them are held out.</param>
/// <param name="HeldOut">A separate file of held-out rows, if there is one.</param>
sealed record RunRecord(SaeSpec Spec, TrainConfig Config, double InputScale, double Variance, string[] Data,
    string? HeldOut, string? Tensor,
    long TrainRows, string Backend, string Version)
{
    /// <summary>Files whose rows stand beside those of <see cref="Data"/>: a transcoder's target, or a crosscoder's
    /// further sites.</summary>
    public string[] Beside { get; init; } = [];

    /// <summary>Scale of a transcoder's target; the input's otherwise.</summary>
    public double TargetScale { get; init; } = InputScale;

    /// <summary>The recipe that spec and config began with; null where there was none, as in fine-tuning, and in older
    /// records.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Preset { get; init; }

    /// <summary>Where in which network the rows were taken (<see cref="ActivationSource.Site"/>); null where it is
    /// unknown, and in older records.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Site { get; init; }

    /// <summary>What the rows are, to compare when the run is resumed; null in older records.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public RunFingerprint? Fingerprint { get; init; }

    /// <summary>The folder of the SAE that this run began with, when it fine-tunes one.</summary>
    public string? From { get; init; }

    /// <summary>What was changed when the run was resumed, a line a field; a setter, so that older records have none
    /// rather than null.</summary>
    public string[] Changes { get; set; } = [];

    public const string FileName = "train.json";

    public void Save(string folder) =>
        AtomicFile.WriteText(Path.Combine(folder, FileName),
            JsonSerializer.Serialize(this, CheckpointJson.Indented.RunRecord) + "\n");

    /// <exception cref="SaeException">The folder holds no run, or its record cannot be read.</exception>
    public static RunRecord Load(string folder)
    {
        var path = Path.Combine(folder, FileName);
        try { return Parse(path, File.ReadAllBytes(path)); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{folder} is no run: {path} cannot be read; name the folder that train wrote", e);
        }
    }

    internal static RunRecord Parse(string path, byte[] json)
    {
        var record = JsonRecord.Read(json, CheckpointJson.Compact.RunRecord, (why, e) =>
            new($"{path} is not a run's record: {why}", e));
        RecordRules.In($"{path} is not a run's record", record.Check);
        return record with { Backend = RecordRules.Backend(record.Backend) };
    }

    /// <summary>Names and ranges of its fields.</summary>
    /// <exception cref="SaeException">The first that is out of them.</exception>
    void Check()
    {
        RecordRules.Trainable(Spec, Config);
        RecordRules.Require(double.IsFinite(InputScale) && InputScale > 0, "input_scale", InputScale,
            "a number above 0");
        RecordRules.Require(double.IsFinite(TargetScale) && TargetScale > 0, "target_scale", TargetScale,
            "a number above 0");
        RecordRules.Require(double.IsFinite(Variance) && Variance > 0, "variance", Variance, "a number above 0");
        RecordRules.Require(TrainRows >= 1, "train_rows", TrainRows, "1 or more");
        RecordRules.Require(Data.Length > 0, "data", "[]", "the names of one file or more");
        RecordRules.Require(!Data.Concat(Beside ?? throw new SaeException("beside is missing"))
            .Any(string.IsNullOrWhiteSpace), "data or beside", "\"\"", "names of files");
        RecordRules.Backend(Backend);
        RecordRules.Preset(Preset);
    }
}
