using System.Text.Json;
using CudaSae.Files;

namespace CudaSae.Activations.Stores;

/// <summary>x.site.json beside x.npy: which network's activations these are, and from where in it. For people: nothing
/// is computed from it.</summary>
static class SiteNote
{
    const string Extension = ".site.json";
    const int MaxBytes = 65_536, MaxLength = 200;      // of the file; of a text

    /// <param name="data">The .npy.</param>
    public static void Write(string data, string model, string site) =>
        AtomicFile.Write(Path.ChangeExtension(data, Extension), stream =>
    {
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("model", model);
            json.WriteString("site", site);
            json.WriteEndObject();
        }
        stream.WriteByte((byte)'\n');
    });

    /// <summary>"SITE of MODEL"; null where there is no note.</summary>
    /// <exception cref="SaeException">It is damaged.</exception>
    public static string? Read(string data)
    {
        var path = Path.ChangeExtension(data, Extension);
        if (!File.Exists(path)) return null;
        try
        {
            if (new FileInfo(path).Length > MaxBytes) throw Bad(path, $"it has more than {MaxBytes} bytes");
            using var file = JsonDocument.Parse(File.ReadAllBytes(path));
            return $"{Text(path, file.RootElement, "site")} of {Text(path, file.RootElement, "model")}";
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Bad(path, "it is not JSON in UTF-8");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
        }
    }

    static string Text(string path, JsonElement of, string name) =>
        of.ValueKind == JsonValueKind.Object && of.TryGetProperty(name, out var value)
            && value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 and <= MaxLength } text
            && !text.Any(char.IsControl)
            ? text : throw Bad(path, $"it has no {name} of at most {MaxLength} characters");

    static SaeException Bad(string path, string why) =>
        new($"{path} does not say where activations come from: {why}; delete it, and nothing but this is lost",
            kind: SaeErrorKind.Files);
}
