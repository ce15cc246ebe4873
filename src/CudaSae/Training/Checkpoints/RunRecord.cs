using System.Text.Json;
using System.Text.Json.Serialization;
using CudaSae.Activations;
using CudaSae.Distributed;
using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Text;

namespace CudaSae.Training.Checkpoints;

/// <summary>The record of a run, without its weights: train.json in its folder.</summary>
/// <param name="InputScale">Scale s of the input x = s · raw.</param>
/// <param name="Variance">E‖x − x̄‖² of the scaled input.</param>
/// <param name="TrainRows">Number of training rows, which are the first rows of the data. Held-out rows follow them, or
/// come from a file.</param>
/// <param name="HeldOut">A number of rows at the end of the data, or a file of held-out rows; null for the standard
/// share.</param>
sealed record RunRecord(SaeSpec Spec, TrainConfig Config, double InputScale, double Variance, string[] Data,
    string? HeldOut, string? Tensor,
    long TrainRows, string Backend, string Version)
{
    /// <summary>Files that are joined to the right of <see cref="Data"/>: a transcoder's target, or a crosscoder's
    /// further sites.</summary>
    public string[] Beside { get; init; } = [];

    /// <summary>Scale of a transcoder's target; for other SAEs, the scale of the input.</summary>
    public double TargetScale { get; init; } = InputScale;

    /// <summary>Name of the preset that spec and config began with; null if there was none, as in fine-tuning, and in
    /// older records.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Preset { get; init; }

    /// <summary>The site in a network at which the rows were taken (<see cref="ActivationSource.Site"/>); null if it is
    /// unknown, and in older records.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Site { get; init; }

    /// <summary>Identifies the rows. It is compared when the run is resumed; null in older records.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public RunFingerprint? Fingerprint { get; init; }

    /// <summary>The order of sums over ranks; null for one process, for <see cref="Distributed.SumOrder.Chain"/> on the
    /// CPU, and in older records.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public SumOrder? SumOrder { get; init; }

    /// <summary>With <see cref="Distributed.SumOrder.Ordered"/>, the number of ranks and the number of ranks on a
    /// machine, on which the bits depend; otherwise null.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int[]? SumRanks { get; init; }

    /// <summary>The folder of the SAE that this run fine-tunes; null for other runs.</summary>
    public string? From { get; init; }

    /// <summary>Changes that were made when the run was resumed, one line for each field. It has a setter, so that it
    /// is empty rather than null for older records.</summary>
    public string[] Changes { get; set; } = [];

    public const string FileName = "train.json";

    public void Save(string folder) =>
        AtomicFile.WriteText(Path.Combine(folder, FileName),
            JsonSerializer.Serialize(this, CheckpointJson.Indented.RunRecord) + "\n");

    /// <summary>Reads the record of a run.</summary>
    /// <exception cref="SaeException">The folder holds no run, or its record cannot be read.</exception>
    public static RunRecord Load(string folder)
    {
        var path = Path.Combine(folder, FileName);
        try { return Parse(path, File.ReadAllBytes(path)); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException(
                $"{folder} is not a run: {path} cannot be read; name the folder that train wrote", e);
        }
    }

    internal static RunRecord Parse(string path, byte[] json)
    {
        var record = JsonRecord.Read(json, CheckpointJson.Compact.RunRecord, (why, e) =>
            new($"{path} is not a run's record: {why}", e));
        RecordRules.In($"{path} is not a run's record", record.Check);
        return record with { Backend = RecordRules.Backend(record.Backend) };
    }

    /// <summary>Checks the names and ranges of the fields.</summary>
    /// <exception cref="SaeException">A field is out of range; names the first one.</exception>
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
