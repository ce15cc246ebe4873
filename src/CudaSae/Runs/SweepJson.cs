using System.Text.Json.Serialization;
using CudaSae.Model;
using CudaSae.Text;

namespace CudaSae.Runs;

/// <summary>JSON of the files of a sweep.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(SweepRecord))]
[JsonSerializable(typeof(SweepOutcome))]
sealed partial class SweepJson : JsonSerializerContext, IRecordDefaults
{
    public static SweepJson Compact { get; } = new(JsonRecord.Options());

    public static SweepJson Indented { get; } = new(JsonRecord.Options(indented: true));

    public object? DefaultOf(Type record) => RecordDefaults.Of(record);
}
