using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Bad = System.Func<string, System.Exception?, CudaSae.SaeException>;

namespace CudaSae.Text;

/// <summary>Reads a saved record. <see cref="JsonShape"/> checks its fields first, so that a refusal names the path,
/// the value and the forms that the field accepts.</summary>
static class JsonRecord
{
    /// <summary>Returns the options under which records are written: snake_case, enums by name, unknown fields refused.
    /// Each context needs its own object.</summary>
    public static JsonSerializerOptions Options(bool indented = false) => new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        AllowOutOfOrderMetadataProperties = true,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        WriteIndented = indented,
    };

    const int BytesAPart = 150;     // in memory, for one part of the JSON: the document and the record

    /// <summary>Reads a record from UTF-8 JSON.</summary>
    /// <param name="json">The text; a byte order mark is skipped.</param>
    /// <param name="type">Metadata of the record.</param>
    /// <param name="bad">Makes the error from a reason and its cause.</param>
    /// <param name="at">Path of the record; it precedes the names of the fields in messages.</param>
    /// <exception cref="SaeException">The text is not JSON, or a field is unknown, missing or doubled, or its value has
    /// another form.</exception>
    public static T Read<T>(byte[] json, JsonTypeInfo<T> type, Bad bad, string at = "")
    {
        try
        {
            var text = json.AsMemory(json.AsSpan().StartsWith("\uFEFF"u8) ? 3 : 0);
            if (text.Span.IndexOfAnyExcept(" \t\r\n"u8) < 0) throw bad("it is empty", null);
            if (text.Span is [0xFF, 0xFE, ..] or [0xFE, 0xFF, ..])
                throw bad("it is UTF-16; JSON is read in UTF-8", null);
            JsonBudget.Check(text.Span, BytesAPart, text.Length, why => bad(why, null));
            using (var document = JsonDocument.Parse(text))
                if (JsonShape.Fault(document.RootElement, type, at) is { } fault) throw bad(fault, null);
            return JsonSerializer.Deserialize(text.Span, type) ?? throw bad("it is null", null);
        }
        catch (JsonException e) { throw bad(Sentence(e), e); }
        catch (Exception e) when (e is InvalidOperationException or NotSupportedException or ArgumentException
            or FormatException)
        {
            throw bad($"it holds text that is not UTF-8, or a value of another type ({Sentence(e)})", e);
        }
    }

    /// <summary>Reads a record from a JSON node.</summary>
    /// <inheritdoc cref="Read{T}(byte[], JsonTypeInfo{T}, Bad, string)"/>
    public static T Read<T>(JsonNode node, JsonTypeInfo<T> type, Bad bad, string at = "") =>
        Read(Encoding.UTF8.GetBytes(node.ToJsonString(type.Options)), type, bad, at);

    static string Sentence(Exception e) => e.Message.Split(" Path:")[0].Split(" LineNumber:")[0].TrimEnd('.')
        + (e is JsonException { LineNumber: { } line } ? $" (line {line + 1})" : "");
}
