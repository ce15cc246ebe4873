using System.Text.Json;
using System.Text.Json.Serialization;
using CudaSae.Data;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Checkpoints;

/// <summary>What a sweep is: sweep.json of its folder. Each member is a run in a folder of its own below it.</summary>
/// <param name="Refused">Combinations that are no SAE, with the reason, a line each.</param>
/// <param name="HeldOut">A number of rows at the end of the data, or a file; null for the standard share.</param>
public sealed record SweepRecord(SweepMember[] Members, string[] Refused, string[] Data, string[] Beside, string? HeldOut, string? Tensor, string Backend, int Together, string Version)
{
    /// <summary>What the rows are, to compare when the sweep is resumed; null in older records.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public RunFingerprint? Fingerprint { get; init; }

    public const string FileName = "sweep.json";

    public void Save(string folder) => AtomicFile.WriteText(Path.Combine(folder, FileName), JsonSerializer.Serialize(this, SaeJson.Indented.SweepRecord) + "\n");

    /// <exception cref="SaeException">The folder holds no sweep, or its record cannot be read.</exception>
    public static SweepRecord Load(string folder)
    {
        var path = Path.Combine(folder, FileName);
        try
        {
            var record = JsonSerializer.Deserialize(File.ReadAllBytes(path), SaeJson.Default.SweepRecord) ?? throw new SaeException($"{path} is empty");
            if (record.Members.Contains(null) || record.Data.Concat(record.Beside).Contains(null)) throw new SaeException($"{path} is not a sweep's record: a member or a file of its data is null");
            foreach (var member in record.Members)
            {
                // The name becomes a folder's; a changed record must not lead out of the sweep's own.
                if (member.Name.Length == 0 || member.Name.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '.' or '+')) || member.Name.StartsWith('.')) throw new SaeException($"{path}: '{member.Name}' is no name of a member");
                member.Spec.Validate();
                member.Config.Validate();
            }
            return record;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { throw new SaeException($"{folder} is no sweep: {path} cannot be read; name the folder that sweep wrote", e); }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException or ArgumentException)
        {
            throw new SaeException($"{path} is not a sweep's record: {e.Message.Split(". ")[0]}", e);
        }
    }
}

/// <summary>One SAE of a sweep.</summary>
/// <param name="Name">Also its folder's.</param>
/// <param name="K">Where the method sets it.</param>
/// <param name="Coefficient">λ at its peak, where the method has a penalty to weigh.</param>
/// <param name="Arguments">What train is called with to make the same SAE alone, without the data.</param>
public sealed record SweepMember(string Name, string Preset, int? K, double? Coefficient, SaeSpec Spec, TrainConfig Config, string[] Arguments);

/// <summary>How a member ended: outcome.json of its folder. Without one it is yet to be trained, or to be gone on with.</summary>
/// <param name="Error">Why it failed; null where it did not.</param>
/// <param name="Evaluation">On the held-out rows; null where there are none, or it failed.</param>
/// <param name="Seconds">Of its training, its own turns alone; of one that was gone on with, from its share of the steps since then.</param>
public sealed record SweepOutcome(string? Error, Evaluation? Evaluation, double Seconds)
{
    const string FileName = "outcome.json";

    public void Save(string folder) => AtomicFile.WriteText(Path.Combine(folder, FileName), JsonSerializer.Serialize(this, SaeJson.Indented.SweepOutcome) + "\n");

    /// <summary>Null where there is none yet.</summary>
    /// <exception cref="SaeException">It cannot be read.</exception>
    public static SweepOutcome? Load(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path)) return null;
        try { return JsonSerializer.Deserialize(File.ReadAllBytes(path), SaeJson.Default.SweepOutcome); }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException) { throw new SaeException($"{path} cannot be read: {e.Message.Split(". ")[0]}; delete it, and the member is evaluated again", e); }
    }
}
