using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>Converts the two records to and from JSON nodes in the form of a run's train.json.</summary>
static class SaeRecords
{
    public static JsonNode Write(SaeSpec spec) => JsonSerializer.SerializeToNode(spec, ModelJson.Compact.SaeSpec)!;
    public static JsonNode Write(TrainConfig config) =>
        JsonSerializer.SerializeToNode(config, ModelJson.Compact.TrainConfig)!;

    /// <summary>Reads a spec.</summary>
    /// <exception cref="SaeException">A field is unknown or missing, or a value has another form. Ranges are not
    /// checked.</exception>
    public static SaeSpec ReadSpec(JsonNode node) =>
        JsonRecord.Read(node, ModelJson.Compact.SaeSpec, static (why, e) => new(why, e), "spec");

    /// <summary>Reads a configuration.</summary>
    /// <exception cref="SaeException">A field is unknown or missing, or a value has another form. Ranges are not
    /// checked.</exception>
    public static TrainConfig ReadConfig(JsonNode node) =>
        JsonRecord.Read(node, ModelJson.Compact.TrainConfig, static (why, e) => new(why, e), "config");
}
