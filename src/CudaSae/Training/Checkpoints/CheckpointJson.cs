using System.Text.Json.Serialization;
using CudaSae.Activations;
using CudaSae.Model;
using CudaSae.Text;

namespace CudaSae.Training.Checkpoints;

/// <summary>JSON of train.json, and of the fingerprints and indexes of checkpoints.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(RunRecord))]
[JsonSerializable(typeof(DataFingerprint))]
[JsonSerializable(typeof(CheckpointIndex))]
sealed partial class CheckpointJson : JsonSerializerContext, IRecordDefaults
{
    public static CheckpointJson Compact { get; } = new(JsonRecord.Options());

    public static CheckpointJson Indented { get; } = new(JsonRecord.Options(indented: true));

    public object? DefaultOf(Type record) => RecordDefaults.Of(record);
}
