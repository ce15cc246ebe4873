using System.Text.Json;
using System.Text.Json.Serialization;
using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Text;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Runs;

/// <summary>The record of a sweep: sweep.json in its folder. Each member is a run in a separate subfolder.</summary>
/// <param name="Refused">Combinations that do not make a valid SAE, one line each, with the reason.</param>
/// <param name="HeldOut">A number of rows at the end of the data, or a file; null for the standard share.</param>
sealed record SweepRecord(SweepMember[] Members, string[] Refused, string[] Data, string[] Beside, string? HeldOut,
    string? Tensor, string Backend, int Together, string Version)
{
    /// <summary>Identifies the rows. It is compared when the sweep is resumed; null in older records.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public RunFingerprint? Fingerprint { get; init; }

    /// <summary>Changes that were made when the sweep was resumed, one line each; empty for older records.</summary>
    public string[] Changes { get; set; } = [];

    public const string FileName = "sweep.json";

    public void Save(string folder) =>
        AtomicFile.WriteText(Path.Combine(folder, FileName),
            JsonSerializer.Serialize(this, SweepJson.Indented.SweepRecord) + "\n");

    /// <summary>Reads the record of a sweep.</summary>
    /// <exception cref="SaeException">The folder holds no sweep, or its record cannot be read.</exception>
    public static SweepRecord Load(string folder)
    {
        var path = Path.Combine(folder, FileName);
        byte[] json;
        try { json = File.ReadAllBytes(path); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException(
                $"{folder} is not a sweep: {path} cannot be read; name the folder that sweep wrote", e);
        }
        return Parse(path, json);
    }

    internal static SweepRecord Parse(string path, byte[] json)
    {
        var record = JsonRecord.Read(json, SweepJson.Compact.SweepRecord, (why, e) =>
            new($"{path} is not a sweep's record: {why}", e));
        RecordRules.In($"{path} is not a sweep's record", record.Check);
        return record with { Backend = RecordRules.Backend(record.Backend) };
    }

    /// <summary>Checks the names and ranges of the fields.</summary>
    /// <exception cref="SaeException">A field is out of range; names the first one.</exception>
    void Check()
    {
        RecordRules.Require(Members.Length > 0, "members", "[]", "one member or more");
        RecordRules.Require(Data.Length > 0 && !Data.Concat(Beside).Any(string.IsNullOrWhiteSpace), "data or beside",
            "empty", "names of files");
        RecordRules.Require(Together >= 0, "together", Together, "0 or more");
        RecordRules.Backend(Backend);
        for (var i = 0; i < Members.Length; i++) RecordRules.In($"members[{i}]", Members[i].Check);
        var twice = Members.GroupBy(m => m.Name, StringComparer.OrdinalIgnoreCase)
            .FirstOrDefault(same => same.Count() > 1)?.Key;
        RecordRules.Require(twice is null, "members", twice, "of different names, because each names a folder");
    }
}

/// <summary>One SAE of a sweep.</summary>
/// <param name="Name">Its name, which is also the name of its folder.</param>
/// <param name="K">Active latents per row; null if the method does not set it.</param>
/// <param name="Coefficient">λ at its peak; null if the method has no weighted penalty.</param>
/// <param name="Arguments">Arguments of cudasae train that make the same SAE alone, without the data.</param>
sealed record SweepMember(string Name, string Preset, int? K, double? Coefficient, SaeSpec Spec,
    TrainConfig Config, string[] Arguments)
{
    internal void Check()
    {
        // The name becomes the name of a folder. A changed record must not lead out of the sweep's folder.
        if (Name.Length == 0 || Name.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '.' or '+'))
            || Name.StartsWith('.'))
            throw new SaeException($"'{Name}' is not a name of a member: it must consist of letters, digits, -, . and "
                + "+, and must not begin with .");
        RecordRules.Preset(Preset);
        RecordRules.Require(K is null or >= 1, "k", K, "1 or more");
        RecordRules.Require(Coefficient is null or >= 0 and < double.PositiveInfinity, "coefficient", Coefficient,
            "0 or more");
        RecordRules.Trainable(Spec, Config);
    }
}

/// <summary>The outcome of a member: outcome.json in its folder. If the file is missing, the member still has to be
/// trained or resumed.</summary>
/// <param name="Error">The reason for a failure; null if the member did not fail.</param>
/// <param name="Evaluation">Its measures on the held-out rows; null if there are none, or if the member
/// failed.</param>
/// <param name="Seconds">Seconds of its training, without the steps of other members; for a resumed member, the seconds
/// since then, scaled up to all of its steps.</param>
sealed record SweepOutcome(string? Error, Evaluation? Evaluation, double Seconds)
{
    const string FileName = "outcome.json";

    public void Save(string folder) =>
        AtomicFile.WriteText(Path.Combine(folder, FileName),
            JsonSerializer.Serialize(this, SweepJson.Indented.SweepOutcome) + "\n");

    /// <summary>Reads a member's outcome; null if there is none yet.</summary>
    /// <exception cref="SaeException">The file cannot be read.</exception>
    public static SweepOutcome? Load(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path)) return null;
        try { return Parse(path, File.ReadAllBytes(path)); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{path} cannot be read: {e.Message.TrimEnd('.')}", e);
        }
    }

    internal static SweepOutcome Parse(string path, byte[] json)
    {
        var outcome = JsonRecord.Read(json, SweepJson.Compact.SweepOutcome, (why, e) =>
            new($"{path} is not a member's outcome: {why}; delete it to evaluate the member again", e));
        RecordRules.In($"{path} is not a member's outcome", outcome.Check);
        return outcome;
    }

    void Check()
    {
        RecordRules.Require(Error is null || Evaluation is null, "evaluation", "there", "null beside an error");
        RecordRules.Require(double.IsFinite(Seconds) && Seconds >= 0, "seconds", Seconds, "0 or more");
        RecordRules.Require(Evaluation is null or { Rows: >= 1 }, "evaluation.rows", Evaluation?.Rows, "1 or more");
    }
}
