using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>The two records as JSON nodes, in the form that a run's train.json has.</summary>
static class SaeRecords
{
    public static JsonNode Write(SaeSpec spec) => JsonSerializer.SerializeToNode(spec, ModelJson.Compact.SaeSpec)!;
    public static JsonNode Write(TrainConfig config) =>
        JsonSerializer.SerializeToNode(config, ModelJson.Compact.TrainConfig)!;

    /// <exception cref="SaeException">A field is unknown, missing, or has a value of another form. Ranges are not
    /// looked at.</exception>
    public static SaeSpec ReadSpec(JsonNode node) =>
        JsonRecord.Read(node, ModelJson.Compact.SaeSpec, static (why, e) => new(why, e), "spec");

    /// <exception cref="SaeException">As <see cref="ReadSpec"/>.</exception>
    public static TrainConfig ReadConfig(JsonNode node) =>
        JsonRecord.Read(node, ModelJson.Compact.TrainConfig, static (why, e) => new(why, e), "config");
}
