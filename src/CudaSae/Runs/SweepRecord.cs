using System.Text.Json;
using System.Text.Json.Serialization;
using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Text;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Runs;

/// <summary>What a sweep is: sweep.json of its folder. Each member is a run in a folder of its own below it.</summary>
/// <param name="Refused">Combinations that are no SAE, with the reason, a line each.</param>
/// <param name="HeldOut">A number of rows at the end of the data, or a file; null for the standard share.</param>
sealed record SweepRecord(SweepMember[] Members, string[] Refused, string[] Data, string[] Beside, string? HeldOut,
    string? Tensor, string Backend, int Together, string Version)
{
    /// <summary>What the rows are, to compare when the sweep is resumed; null in older records.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public RunFingerprint? Fingerprint { get; init; }

    /// <summary>What was changed when the sweep was resumed, a line each; older records have none.</summary>
    public string[] Changes { get; set; } = [];

    public const string FileName = "sweep.json";

    public void Save(string folder) =>
        AtomicFile.WriteText(Path.Combine(folder, FileName),
            JsonSerializer.Serialize(this, SweepJson.Indented.SweepRecord) + "\n");

    /// <exception cref="SaeException">The folder holds no sweep, or its record cannot be read.</exception>
    public static SweepRecord Load(string folder)
    {
        var path = Path.Combine(folder, FileName);
        byte[] json;
        try { json = File.ReadAllBytes(path); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{folder} is no sweep: {path} cannot be read; name the folder that sweep wrote", e);
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

    /// <summary>Names and ranges of its fields.</summary>
    /// <exception cref="SaeException">The first that is out of them.</exception>
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
/// <param name="Name">Also its folder's.</param>
/// <param name="K">Where the method sets it.</param>
/// <param name="Coefficient">λ at its peak, where the method has a penalty to weigh.</param>
/// <param name="Arguments">What train is called with to make the same SAE alone, without the data.</param>
sealed record SweepMember(string Name, string Preset, int? K, double? Coefficient, SaeSpec Spec,
    TrainConfig Config, string[] Arguments)
{
    internal void Check()
    {
        // The name becomes a folder's; a changed record must not lead out of the sweep's own.
        if (Name.Length == 0 || Name.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '.' or '+'))
            || Name.StartsWith('.'))
            throw new SaeException($"'{Name}' is no name of a member: it must be letters, digits, -, . and +, without "
                + $"a . at its start");
        RecordRules.Preset(Preset);
        RecordRules.Require(K is null or >= 1, "k", K, "1 or more");
        RecordRules.Require(Coefficient is null or >= 0 and < double.PositiveInfinity, "coefficient", Coefficient,
            "0 or more");
        RecordRules.Trainable(Spec, Config);
    }
}

/// <summary>How a member ended: outcome.json of its folder. Without one, the member still has to be trained or
/// resumed.</summary>
/// <param name="Error">Why it failed; null where it did not.</param>
/// <param name="Evaluation">On the held-out rows; null where there are none, or it failed.</param>
/// <param name="Seconds">Of its training, its own turns alone; of a resumed one, from its share of the steps since
/// then.</param>
sealed record SweepOutcome(string? Error, Evaluation? Evaluation, double Seconds)
{
    const string FileName = "outcome.json";

    public void Save(string folder) =>
        AtomicFile.WriteText(Path.Combine(folder, FileName),
            JsonSerializer.Serialize(this, SweepJson.Indented.SweepOutcome) + "\n");

    /// <summary>Null where there is none yet.</summary>
    /// <exception cref="SaeException">It cannot be read.</exception>
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
            new($"{path} is not a member's outcome: {why}; delete it, and the member is evaluated again", e));
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
