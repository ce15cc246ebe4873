using System.Text.Json;
using CudaSae.Files;

namespace CudaSae.Activations.Stores;

/// <summary>x.site.json beside x.npy names the network and the site of the activations. It is information for the
/// reader; no result depends on it.</summary>
static class SiteNote
{
    const string Extension = ".site.json";
    const int MaxBytes = 65_536, MaxLength = 200;      // limits of the file and of a text

    /// <summary>Writes the note of a .npy file.</summary>
    /// <param name="data">Path of the .npy file.</param>
    /// <param name="model">Name of the network.</param>
    /// <param name="site">Site in the network.</param>
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

    /// <summary>Returns "SITE of MODEL", or null if there is no note.</summary>
    /// <exception cref="SaeException">The note is damaged.</exception>
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
        new($"{path} does not name the site of its activations: {why}; delete it; only this note is lost",
            kind: SaeErrorKind.Files);
}
