using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>selection.bandwidth = 0.5: edits of a record through its JSON, so that every field is within reach of a
/// command line or of a caller in another language.</summary>
static class FieldEdits
{
    /// <param name="edits">Field by its path in snake_case, as train.json of a run shows it, and the JSON that takes
    /// the place of its value.</param>
    /// <exception cref="SaeException">There is no such field, or the value does not fit it. Ranges are not looked
    /// at.</exception>
    public static SaeSpec Apply(SaeSpec spec, IEnumerable<KeyValuePair<string, JsonNode?>> edits) =>
        Apply(spec, "spec", edits, ModelJson.Compact.SaeSpec);

    /// <summary>As the other.</summary>
    public static TrainConfig Apply(TrainConfig config, IEnumerable<KeyValuePair<string, JsonNode?>> edits) =>
        Apply(config, "config", edits, ModelJson.Compact.TrainConfig);

    static T Apply<T>(T record, string root, IEnumerable<KeyValuePair<string, JsonNode?>> edits, JsonTypeInfo<T> type)
    {
        foreach (var (field, value) in edits)
        {
            var path = $"{root}.{field}";
            SaeException Bad(string why, Exception? e) => new(
                (why.StartsWith($"{path} = ", StringComparison.Ordinal) ? why
                    : $"{path}={value?.ToJsonString().Trim('"') ?? "null"}: {why.Replace($"{path}: ", "")}")
                + "; fields are those that train.json of a run shows", e);
            try
            {
                var node = JsonSerializer.SerializeToNode(record, type)!;
                Edit(node, field.Split('.'), value?.DeepClone());
                record = JsonRecord.Read(node, type, Bad, root);
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException or NotSupportedException
                or ArgumentException)
            {
                throw Bad(e.Message.Split(". ")[0].Split(" Path:")[0], e);
            }
        }
        return record;
    }

    static void Edit(JsonNode node, string[] path, JsonNode? value)
    {
        var at = node;
        for (var i = 0; i < path.Length; i++)
        {
            if (at is not JsonObject fields)
                throw new ArgumentException($"{string.Join('.', path[..i])} has no fields; set it whole, as JSON");
            // A last name that is not there is a field that older records lack, or none, which the reader names.
            if (i == path.Length - 1) fields[path[i]] = value;
            else at = fields[path[i]]
                ?? throw new ArgumentException(fields.ContainsKey(path[i])
                ? $"{string.Join('.', path[..(i + 1)])} is null; set it whole, as JSON"
                : $"there is no such field{Names.Hint(path[i], fields.Select(f => f.Key))}");
        }
    }
}
