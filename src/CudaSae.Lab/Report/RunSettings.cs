using System.Text.Json.Nodes;
using CudaSae.Model;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Lab.Report;

/// <summary>train.json of a run as a table, beside the published recipe that it began with, or is nearest to: what
/// differs comes first.</summary>
static class RunSettings
{
    public static TableFigure Table(RunRecord record)
    {
        var own = Fields(record.Spec, record.Config);
        var named = Named(record);
        var (preset, recipe) = named ?? Nearest(record, own);
        var rows = own.Keys.Union(recipe.Keys).Select(field =>
            (Field: field, Own: own.GetValueOrDefault(field, ""), Recipe: recipe.GetValueOrDefault(field, "")))
            .OrderByDescending(r => r.Own != r.Recipe).ToArray(); // a stable sort: the records' own order otherwise
        string[] changed = [.. rows.Where(r => r.Own != r.Recipe).Select(r => r.Field)];
        (string, string)[] about =
        [
            ("data", string.Join(", ", record.Data.Concat(record.Beside))),
            ("held out", record.HeldOut ?? "a tenth of the rows, at most 8192"),
            ("training rows", $"{record.TrainRows}"),
            .. record.Site is { } site ? [("site", site)]
                : Array.Empty<(string, string)>(), ("backend", record.Backend), ("version", record.Version),
                    .. record.From is { } from
                ? [("fine-tuned from", from)] : Array.Empty<(string, string)>(),
            .. record.Changes.Select(change => ("changed at resume", change)),
        ];
        return new("settings", "Settings of the run",
        [
            new("field", [.. rows.Select(r => r.Field), .. about.Select(a => a.Item1)]),
            new("this run", [.. rows.Select(r => r.Own), .. about.Select(a => a.Item2)]) { Formula = "train.json" },
            new("differs", [.. rows.Select(r => r.Own != r.Recipe ? "yes" : ""), .. about.Select(_ => "")]),
            new(preset.Name, [.. rows.Select(r => r.Recipe), .. about.Select(_ => "")])
            {
                Formula = $"--preset {preset.Name}"
            },
        ])
        {
            Finding =
                $"{(named is null ? "The nearest published recipe is" : "The run began with the published recipe")} "
                    + $"{preset.Name} ({preset.Paper}); "
                + (changed.Length == 0 ? "no field differs from it."
                : $"{Words.Counted(changed.Length, "field")} of {rows.Length} "
                    + $"{(changed.Length == 1 ? "differs" : "differ")} from it: "
                    + $"{string.Join(", ", changed.Take(6))}{(changed.Length > 6 ? " and others" : "")}."),
            Formula = $"{preset.Formula}. The recipe is taken at this run's widths, latents, k, rows, batch and seed.",
        };
    }

    /// <summary>The recipe that the run began with; null where its record does not say, or it is none any
    /// more.</summary>
    static (Preset, Dictionary<string, string>)? Named(RunRecord record) =>
        Preset.All.FirstOrDefault(p => p.Name == record.Preset) is { } preset && Recipe(preset, record) is { } recipe
            ? (preset, recipe) : null;

    /// <summary>Of a run whose record does not say: the one that fewest fields differ from.</summary>
    static (Preset, Dictionary<string, string>) Nearest(RunRecord record, Dictionary<string, string> own) =>
        Preset.All.Select(p => (Preset: p, Fields: Recipe(p, record))).Where(p => p.Fields is not null)
            .Select(p => (p.Preset, p.Fields!)).MinBy(p =>
                own.Keys.Union(p.Item2.Keys).Count(f => own.GetValueOrDefault(f) != p.Item2.GetValueOrDefault(f)));

    /// <summary>Null where the recipe cannot be made at these sizes.</summary>
    static Dictionary<string, string>? Recipe(Preset preset, RunRecord record)
    {
        var (spec, basis) = (record.Spec,
            new TrainConfig
            {
                BatchRows = record.Config.BatchRows, Vectors = record.Config.Vectors, Seed = record.Config.Seed
            });
        if (preset.NeedsTarget != (spec.Transcoder is not null || spec.Sites is not null)) return null;
        try
        {
            var (recipe, config) = preset.Make(spec.InputWidth, spec.Latents, ActiveOf(spec), basis);
            if (spec.DeadAfterTokens == 0) recipe = recipe with { DeadAfterTokens = 0 };      // an older record
            if (recipe.Transcoder is { } transcoder)
                recipe = recipe with { Transcoder = transcoder with { OutputWidth = spec.OutputWidth } };
            if (recipe.Sites is not null) recipe = recipe with { Sites = spec.Sites };
            return Fields(recipe, config);
        }
        catch (SaeException) { return null; }
    }

    /// <summary>k where the method sets it; otherwise the default of --k.</summary>
    static int ActiveOf(SaeSpec spec) => spec.Selection switch
    {
        Selection.BatchTopK batch => batch.K,
        Selection.TopK or Selection.AbsTopK or Selection.GroupMax => spec.ActiveAtInference,
        _ => Math.Min(32, spec.Latents),
    };

    static Dictionary<string, string> Fields(SaeSpec spec, TrainConfig config)
    {
        var fields = new Dictionary<string, string>();
        Flatten(SaeRecords.Write(spec), "spec", fields);
        Flatten(SaeRecords.Write(config), "config", fields);
        return fields;
    }

    static void Flatten(JsonNode? node, string path, Dictionary<string, string> into)
    {
        if (node is JsonObject fields) foreach (var (name, value) in fields) Flatten(value, $"{path}.{name}", into);
        else into[path] = node?.ToJsonString().Trim('"') ?? "none";
    }
}
