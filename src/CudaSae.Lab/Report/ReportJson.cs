using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CudaSae.Lab.Report;

/// <summary>JSON of sections by generated code, in the form that the page reads.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Section))]
[JsonSerializable(typeof(Section[]))]
sealed partial class ReportJson : JsonSerializerContext;

/// <summary>float32 numbers as base64 of their little-endian bytes: a quarter of the digits' length, and not a bit
/// lost.</summary>
sealed class PackedFloats : JsonConverter<float[]>
{
    public override float[] Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options)
    {
        var bytes = reader.GetBytesFromBase64();
        return bytes.Length % sizeof(float) == 0 ? MemoryMarshal.Cast<byte, float>(bytes).ToArray()
            : throw new JsonException($"{bytes.Length} bytes are not whole float32 numbers");
    }

    public override void Write(Utf8JsonWriter writer, float[] value, JsonSerializerOptions options) =>
        writer.WriteBase64StringValue(MemoryMarshal.AsBytes<float>(value));
}
