using System.Text.Json;
using System.Text.Json.Serialization;
using CudaSae.Backends;
using CudaSae.Checkpoints;
using CudaSae.Data;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae;

/// <summary>JSON of the records that are saved, by generated code: snake_case, enums by name, unknown fields refused.
/// <see cref="JsonRecord"/> reads them.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    AllowOutOfOrderMetadataProperties = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true,
    Converters =
    [
        typeof(NamedEnum<BackendKind>), typeof(NamedEnum<InputType>), typeof(NamedEnum<Tying>),
            typeof(NamedEnum<DecoderNorm>), typeof(NamedEnum<PenaltyWeight>),
        typeof(NamedEnum<ThresholdForm>), typeof(NamedEnum<SmoothingKernel>), typeof(NamedEnum<OptimizerKind>),
            typeof(NamedEnum<ClipKind>),
        typeof(NamedEnum<WeightStorage>), typeof(NamedEnum<DecoderBiasInit>), typeof(NamedEnum<NonFiniteRows>),
            typeof(NamedEnum<DecoderInit>),
        typeof(NamedEnum<LossNormalization>), typeof(NamedEnum<MomentStorage>), typeof(NamedEnum<ScreeningKind>),
            typeof(NamedEnum<DivergenceAction>),
        typeof(NamedEnum<Trainable>),
    ])]
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
