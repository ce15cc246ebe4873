using System.Text.Json.Serialization;
using CudaSae.Model;
using CudaSae.Text;

namespace CudaSae;

/// <summary>The JSON context of the settings that other languages pass.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(TrainerSettings))]
sealed partial class SettingsJson : JsonSerializerContext, IRecordDefaults
{
    public static SettingsJson Compact { get; } = new(JsonRecord.Options());

    public object? DefaultOf(Type record) => RecordDefaults.Of(record);
}
