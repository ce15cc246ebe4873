using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae;

/// <summary>selection.bandwidth = 0.5: edits of a record through its JSON, so that every field is within reach of a command line or of a caller in another language.</summary>
public static class FieldEdits
{
    /// <param name="edits">Field by its path in snake_case, as train.json of a run shows it, and the JSON that takes the place of its value.</param>
    /// <exception cref="SaeException">There is no such field, or the value does not fit it. Ranges are not looked at.</exception>
    public static SaeSpec Apply(SaeSpec spec, IEnumerable<KeyValuePair<string, JsonNode?>> edits) => Apply(spec, "spec", edits, SaeRecords.Write, SaeRecords.ReadSpec);

    /// <summary>As the other.</summary>
    public static TrainConfig Apply(TrainConfig config, IEnumerable<KeyValuePair<string, JsonNode?>> edits) => Apply(config, "config", edits, SaeRecords.Write, SaeRecords.ReadConfig);

    static T Apply<T>(T record, string root, IEnumerable<KeyValuePair<string, JsonNode?>> edits, Func<T, JsonNode> write, Func<JsonNode, T> read)
    {
        foreach (var (field, value) in edits)
            try
            {
                var node = write(record);
                Edit(node, field.Split('.'), value?.DeepClone());
                record = read(node);
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException or NotSupportedException or ArgumentException)
            {
                throw new SaeException($"{root}.{field}={value?.ToJsonString().Trim('"') ?? "null"}: {e.Message.Split(". ")[0].Split(" Path:")[0]}; fields are those that train.json of a run shows");
            }
        return record;
    }

    static void Edit(JsonNode node, string[] path, JsonNode? value)
    {
        var at = node;
        for (var i = 0; i < path.Length - 1; i++) at = at[path[i]] ?? throw new ArgumentException($"{string.Join('.', path[..(i + 1)])} is null; set it whole, as JSON");
        if (at is not JsonObject fields) throw new ArgumentException($"{string.Join('.', path[..^1])} has no fields");
        fields[path[^1]] = value;
    }
}
