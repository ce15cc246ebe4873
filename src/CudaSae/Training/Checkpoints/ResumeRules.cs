using System.Text.Json.Nodes;
using CudaSae.Model;

namespace CudaSae.Training.Checkpoints;

/// <summary>Rules that state which fields of the config may change when a run is resumed, and why the others may
/// not.</summary>
static class ResumeRules
{
    /// <summary>Returns a config in the form that a checkpoint keeps. It holds the fields that shape the SAE: those
    /// that are fixed, the length of the run, and those that apply when the SAE is saved. Other fields have their
    /// defaults.</summary>
    internal static JsonObject Identity(TrainConfig config)
    {
        var (kept, all) = (SaeRecords.Write(new TrainConfig()).AsObject(), SaeRecords.Write(config).AsObject());
        foreach (var (field, value) in all)
            if (ConfigSettings.Of(field) is not { Resume.ShapesSae: false }) kept[field] = value?.DeepClone();
        return kept;
    }

    /// <summary>Returns whether the config has a field.</summary>
    /// <param name="field">Name of the field in snake_case, as in train.json.</param>
    public static bool IsConfigField(string field) => ConfigSettings.Of(field) is not null;

    /// <summary>Returns the reason why a field of the config may not change; null if it may.</summary>
    /// <param name="field">Name of the field in snake_case.</param>
    public static string? WhyFixed(string field) =>
        ConfigSettings.Of(field) is { Resume: var rule } ? rule.WhyFixed : ResumeRule.Steps.WhyFixed;

    /// <summary>Returns one line for each named field, with its old and its new value.</summary>
    /// <exception cref="SaeException">The run's method does not allow the change.</exception>
    public static string[] Describe(SaeSpec spec, TrainConfig old, TrainConfig changed, IEnumerable<string> fields)
    {
        if (old.Vectors != changed.Vectors && spec.Penalty is SparsityPenalty.Lp)
            throw new SaeException("Vectors cannot be changed when a run with an annealed Lp penalty is resumed: λ "
                + "was rescaled along the old schedule; leave it out, or start a new run");
        var (before, after) = (SaeRecords.Write(old), SaeRecords.Write(changed));
        return [.. fields.Distinct().Select(field => Line(field, Text(before[field]), Text(after[field])))];
    }

    static string Line(string field, string before, string after) => before == after ? $"{field} stays {after}"
        : $"{field} {before} → "
            + $"{after}{(field == "vectors" ? ", and the schedules span them from here on" : "")}";

    static string Text(JsonNode? value) => value?.ToJsonString().Trim('"') ?? "null";

    /// <summary>Checks that the end of a run is not before the step that it has reached.</summary>
    /// <exception cref="SaeException">The end is before that step.</exception>
    public static void RequireAhead(TrainConfig config, long step)
    {
        if (config.Steps < step)
            throw new SaeException($"Vectors = {config.Vectors} ends at step {config.Steps}, but the run has done "
                + $"{step} steps; set Vectors = {step * config.BatchRows} or more");
    }

    /// <summary>Compares the run that wrote a checkpoint with the run that restores it: the whole spec, and the fields
    /// of the config that may not change.</summary>
    /// <exception cref="SaeException">A field differs; names it.</exception>
    public static void RequireSame(string path, (SaeSpec Spec, TrainConfig Config) old,
        (SaeSpec Spec, TrainConfig Config) now)
    {
        Require(path, "spec", SaeRecords.Write(old.Spec).AsObject(), SaeRecords.Write(now.Spec).AsObject(),
            static _ => true);
        Require(path, "config", SaeRecords.Write(old.Config).AsObject(), SaeRecords.Write(now.Config).AsObject(),
            static field => WhyFixed(field) is not null);
    }

    static void Require(string path, string record, JsonObject old, JsonObject now, Func<string, bool> counts)
    {
        foreach (var field in old.Select(pair => pair.Key).Union(now.Select(pair => pair.Key)).Where(counts))
            if (!JsonNode.DeepEquals(old[field], now[field]))
                throw new SaeException($"{path} was written with {record}.{field} = {Text(old[field])} and cannot be "
                    + $"restored with {Text(now[field])}; put the old value back, or start a new run");
    }
}
