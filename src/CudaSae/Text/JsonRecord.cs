using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Bad = System.Func<string, System.Exception?, CudaSae.SaeException>;

namespace CudaSae.Text;

/// <summary>Reads a saved record: its fields are looked at by <see cref="JsonShape"/> first, so that what does not fit
/// is named by its path, its value and the forms it may have.</summary>
static class JsonRecord
{
    /// <summary>How records are written: snake_case, enums by name, unknown fields refused. A new object for each
    /// context.</summary>
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

    const int BytesAPart = 150;     // of JSON, in memory: the document and the record

    /// <param name="bad">The error for a reason.</param>
    /// <param name="at">Path of the record, before its fields' names.</param>
    /// <exception cref="SaeException">It is no JSON, or a field is unknown, missing, doubled, or has a value of another
    /// form.</exception>
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

    /// <summary>As the other, of nodes.</summary>
    public static T Read<T>(JsonNode node, JsonTypeInfo<T> type, Bad bad, string at = "") =>
        Read(Encoding.UTF8.GetBytes(node.ToJsonString(type.Options)), type, bad, at);

    static string Sentence(Exception e) => e.Message.Split(" Path:")[0].Split(" LineNumber:")[0].TrimEnd('.')
        + (e is JsonException { LineNumber: { } line } ? $" (line {line + 1})" : "");
}
