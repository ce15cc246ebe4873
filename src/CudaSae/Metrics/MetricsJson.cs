using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Metrics;

/// <summary>JSON of a line of metrics.jsonl.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(StepMetrics))]
sealed partial class MetricsJson : JsonSerializerContext
{
    public static MetricsJson Compact { get; } = new(JsonRecord.Options());
}
