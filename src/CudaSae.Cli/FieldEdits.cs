using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Cli;

/// <summary>--set spec.selection.bandwidth=0.5: edits of a record through its JSON, so that every field is within reach of the command line.</summary>
static class FieldEdits
{
    public static SaeSpec Apply(SaeSpec spec, string root, string[] edits) => Apply(spec, root, edits, SaeRecords.Write, SaeRecords.ReadSpec);

    public static TrainConfig Apply(TrainConfig config, string root, string[] edits) => Apply(config, root, edits, SaeRecords.Write, SaeRecords.ReadConfig);

    static T Apply<T>(T record, string root, string[] edits, Func<T, JsonNode> write, Func<JsonNode, T> read)
    {
        foreach (var edit in edits)
            if (!edit.StartsWith("spec.", StringComparison.Ordinal) && !edit.StartsWith("config.", StringComparison.Ordinal) || !edit.Contains('='))
                throw new SaeException($"--set {edit}: it must read spec.FIELD=JSON or config.FIELD=JSON, such as spec.selection.bandwidth=0.5");
        var own = edits.Where(e => e.StartsWith(root + ".", StringComparison.Ordinal)).ToArray();
        foreach (var edit in own)
            try
            {
                var node = write(record);
                Edit(node, edit[(root.Length + 1)..edit.IndexOf('=')].Split('.'), Value(edit[(edit.IndexOf('=') + 1)..]));
                record = read(node);
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException or NotSupportedException or ArgumentException)
            {
                throw new SaeException($"--set {edit}: {e.Message.Split(". ")[0].Split(" Path:")[0]}; fields are those that train.json of a run shows");
            }
        return record;
    }

    /// <summary>JSON, or a bare word as a string.</summary>
    static JsonNode? Value(string text)
    {
        try { return JsonNode.Parse(text); }
        catch (JsonException) { return JsonValue.Create(text); }
    }

    static void Edit(JsonNode node, string[] path, JsonNode? value)
    {
        var at = node;
        for (var i = 0; i < path.Length - 1; i++) at = at[path[i]] ?? throw new ArgumentException($"{string.Join('.', path[..(i + 1)])} is null; set it whole, as JSON");
        if (at is not JsonObject fields) throw new ArgumentException($"{string.Join('.', path[..^1])} has no fields");
        fields[path[^1]] = value;
    }
}
