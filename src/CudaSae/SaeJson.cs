using System.Text.Json;
using System.Text.Json.Serialization;
using CudaSae.Checkpoints;
using CudaSae.Data;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae;

/// <summary>JSON of the records that are saved, by generated code: snake_case, enums by name, unknown fields refused.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, UseStringEnumConverter = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(RunRecord))]
[JsonSerializable(typeof(StepMetrics))]
[JsonSerializable(typeof(SweepRecord))]
[JsonSerializable(typeof(SweepOutcome))]
[JsonSerializable(typeof(SaeSpec))]
[JsonSerializable(typeof(TrainConfig))]
[JsonSerializable(typeof(TrainerSettings))]
[JsonSerializable(typeof(DataFingerprint))]
[JsonSerializable(typeof(System.Text.Json.Nodes.JsonObject))]
sealed partial class SaeJson : JsonSerializerContext
{
    /// <summary>Indented, for people.</summary>
    public static SaeJson Indented => field ??= new(new JsonSerializerOptions(Default.Options!) { WriteIndented = true });
}
