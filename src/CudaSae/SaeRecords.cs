using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae;

/// <summary>The two records as JSON nodes, in the form that a run's train.json has.</summary>
public static class SaeRecords
{
    public static JsonNode Write(SaeSpec spec) => JsonSerializer.SerializeToNode(spec, SaeJson.Default.SaeSpec)!;
    public static JsonNode Write(TrainConfig config) => JsonSerializer.SerializeToNode(config, SaeJson.Default.TrainConfig)!;
    public static SaeSpec ReadSpec(JsonNode node) => node.Deserialize(SaeJson.Default.SaeSpec)!;
    public static TrainConfig ReadConfig(JsonNode node) => node.Deserialize(SaeJson.Default.TrainConfig)!;
}
