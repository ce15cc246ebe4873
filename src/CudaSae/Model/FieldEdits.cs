using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>Edits of a record through its JSON, such as selection.bandwidth = 0.5. They make every field accessible
/// from a command line or another language.</summary>
static class FieldEdits
{
    /// <summary>Applies edits to a spec.</summary>
    /// <param name="spec">The spec to change.</param>
    /// <param name="edits">The path of each field in snake_case, as in a run's train.json, with the JSON that replaces
    /// its value.</param>
    /// <returns>The changed record.</returns>
    /// <exception cref="SaeException">A field does not exist, or a value has another form. Ranges are not
    /// checked.</exception>
    public static SaeSpec Apply(SaeSpec spec, IEnumerable<KeyValuePair<string, JsonNode?>> edits) =>
        Apply(spec, "spec", edits, ModelJson.Compact.SaeSpec);

    /// <summary>Applies edits to a configuration.</summary>
    /// <inheritdoc cref="Apply(SaeSpec, IEnumerable{KeyValuePair{string, JsonNode}})"/>
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
            // A missing last name is either a field that older records lack, or an unknown field, which the reader
            // refuses by name.
            if (i == path.Length - 1) fields[path[i]] = value;
            else at = fields[path[i]]
                ?? throw new ArgumentException(fields.ContainsKey(path[i])
                ? $"{string.Join('.', path[..(i + 1)])} is null; set it whole, as JSON"
                : $"there is no such field{Names.Hint(path[i], fields.Select(f => f.Key))}");
        }
    }
}
