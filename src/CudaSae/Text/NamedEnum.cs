using System.Text.Json;
using System.Text.Json.Serialization;

namespace CudaSae.Text;

/// <summary>Reads and writes an enum value in JSON as one of its names, in any case of letters; flags are names
/// separated by commas. Numbers and unknown names are refused. Each enum names its own instance, so that ahead-of-time
/// compiled code contains it.</summary>
sealed class NamedEnum<T> : JsonConverter<T> where T : struct, Enum
{
    public override T Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && EnumNames.Read(typeof(T), reader.GetString()!) is T value ? value
            : throw new JsonException(EnumNames.Forms(typeof(T)));

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.ToString());
}

/// <summary>The names of an enum's values.</summary>
static class EnumNames
{
    /// <summary>Returns the value of a name, or of several names separated by commas if the enum has flags; null for
    /// any other text.</summary>
    public static object? Read(Type type, string text)
    {
        var (names, values) = (Enum.GetNames(type), Enum.GetValuesAsUnderlyingType(type));
        if (!IsFlags(type)) return Array.FindIndex(names, name => Names.Same(name, text)) is >= 0 and var only
            ? Enum.ToObject(type, values.GetValue(only)!) : null;
        ulong sum = 0;
        foreach (var part in text.Split(", "))
        {
            if (Array.FindIndex(names, name => Names.Same(name, part)) is not (>= 0 and var at)) return null;
            sum |= Convert.ToUInt64(values.GetValue(at));
        }
        return Enum.ToObject(type, sum);
    }

    /// <summary>Returns the accepted forms in words, for messages.</summary>
    public static string Forms(Type type) =>
        $"one of {string.Join(", ", Enum.GetNames(type))}{(IsFlags(type) ? ", or several with \", \" between" : "")}";

    static bool IsFlags(Type type) => type.IsDefined(typeof(FlagsAttribute), inherit: false);
}
