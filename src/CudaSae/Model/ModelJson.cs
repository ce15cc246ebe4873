using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>JSON of the spec and the configuration.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(SaeSpec))]
[JsonSerializable(typeof(TrainConfig))]
sealed partial class ModelJson : JsonSerializerContext, IRecordDefaults
{
    public static ModelJson Compact { get; } = new(JsonRecord.Options());

    public object? DefaultOf(Type record) => RecordDefaults.Of(record);
}
