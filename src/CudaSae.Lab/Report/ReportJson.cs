using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CudaSae.Lab.Report;

/// <summary>Reads and writes chapters as JSON by generated code, in the form that the page reads.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Chapter))]
[JsonSerializable(typeof(Chapter[]))]
sealed partial class ReportJson : JsonSerializerContext;

/// <summary>Converts float32 numbers to base64 of their little-endian bytes, which loses no bits and takes a quarter of
/// the length of digits.</summary>
sealed class PackedFloats : JsonConverter<float[]>
{
    public override float[] Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options)
    {
        var bytes = reader.GetBytesFromBase64();
        return bytes.Length % sizeof(float) == 0 ? MemoryMarshal.Cast<byte, float>(bytes).ToArray()
            : throw new JsonException($"{bytes.Length} bytes are not a whole number of float32 values");
    }

    public override void Write(Utf8JsonWriter writer, float[] value, JsonSerializerOptions options) =>
        writer.WriteBase64StringValue(MemoryMarshal.AsBytes<float>(value));
}
