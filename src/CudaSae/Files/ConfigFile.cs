using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Text;

namespace CudaSae.Files;

/// <summary>A JSON object on disk, or a section of one, whose fields are asked for by name and kind. Null stands for an
/// absent field.</summary>
sealed class ConfigFile(string path, JsonObject fields)
{
    const long MaxBytes = 1 << 20;
    const int BytesAPart = 800;     // of JSON, as nodes and their copies

    static readonly JsonDocumentOptions Strict = new()
    {
#if NET10_0_OR_GREATER
        AllowDuplicateProperties = false,
#endif
    };

    public string Path { get; } = path;
    public JsonObject Fields { get; } = fields;

    /// <exception cref="SaeException">It cannot be read, is no JSON object, or names a field twice.</exception>
    public static ConfigFile Read(string path)
    {
        try
        {
            if (new FileInfo(path).Length > MaxBytes)
                throw new SaeException($"{path} has more than {MaxBytes >> 20} MiB; it is no SAE's configuration");
            var json = File.ReadAllBytes(path);
            JsonBudget.Check(json, BytesAPart, json.Length, why => new($"{path} is not a usable configuration: {why}"));
            var node = JsonNode.Parse(json, null, Strict);
            Decode(node);
            return new(path, node as JsonObject ?? throw new SaeException($"{path} is not a JSON object"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{path} cannot be read: {e.Message.TrimEnd('.')}", e);
        }
        catch (InvalidOperationException e) { throw new SaeException($"{path} holds text that is not UTF-8", e); }
        // .NET 9, as Decode meets it
        catch (ArgumentException e) { throw new SaeException($"{path} names a field twice", e); }
        catch (JsonException e) { throw new SaeException($"{path} is not JSON: {OneLine(e.Message)}", e); }
    }

    /// <summary>Reads every text once: those that are no Unicode would else be found wherever they are used.</summary>
    internal static void Decode(JsonNode? node)
    {
        if (node is JsonObject fields)
            foreach (var (_, value) in fields) Decode(value);
        else if (node is JsonArray items)
            foreach (var item in items) Decode(item);
        else if (node is JsonValue value) value.TryGetValue(out string? _);
    }

    static readonly JsonSerializerOptions Indented = JsonRecord.Options(indented: true);

    public static void Write(string path, JsonObject fields) =>
        AtomicFile.WriteText(path, fields.ToJsonString(Indented) + "\n");

    public bool Has(string key) => Fields[key] is not null;

    public string? Text(string key) => Field<string>(key, "a string");

    public bool? Flag(string key) => Fields[key] is null ? null : Value<bool>(key, "true or false");

    public double? Number(string key) =>
        Fields[key] is null ? null : Value<double>(key, "a number") is var number && double.IsFinite(number) ? number
            : throw Bad($"{key} is not a finite number");

    /// <summary>A whole number of 1 or more; Python writes some as 100.0.</summary>
    public int? Whole(string key) =>
        Number(key) is not { } number ? null : number is >= 1 and <= int.MaxValue && number == Math.Floor(number)
            ? (int)number
        : throw Bad($"{key} is {Fields[key]!.ToJsonString()}, a whole number above 0 was expected");

    public int RequiredWhole(string key) => Whole(key) ?? throw Bad($"it lacks {key}");

    public ConfigFile? Section(string key) => Fields[key] switch
    {
        null => null,
        JsonObject section => new(Path, section),
        _ => throw Bad($"{key} is no object"),
    };

    public SaeException Bad(string why) => new($"{Path} is not a usable configuration: {why}");

    T? Field<T>(string key, string kind) where T : class => Fields[key] is null ? null : Value<T>(key, kind);

    T Value<T>(string key, string kind) =>
        Fields[key] is JsonValue value && value.TryGetValue(out T? found) ? found! : throw Bad($"{key} is not {kind}");

    static string OneLine(string message) => message.Split('\n')[0].Split(". ")[0].TrimEnd('.');
}
