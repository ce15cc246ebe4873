using System.Text.Json;
using CudaSae.Text;

namespace CudaSae.Activations.Stores;

/// <summary>The metadata of a folder of saev (OSU-NLP-Group/saev, docs/src/developers/protocol.md, protocols 2.0 and
/// 2.1): metadata.json and shards.json,
/// raw float32 [example, layer, token, d_model] in acts000000.bin and on. Token 0 is the CLS token where there is
/// one.</summary>
/// <param name="Layers">Layer numbers that were recorded, in their order in the file.</param>
/// <param name="Tokens">Per example, the CLS token included.</param>
/// <param name="ExamplesPerShard">What a whole shard has room for; the last one is as long, but filled in part.</param>
sealed record SaevMetadata(string Folder, int[] Layers, long Tokens, bool Cls, int Width, long ExamplesPerShard,
    (string Name, long Examples)[] Shards)
{
    const string MetadataName = "metadata.json", ShardsName = "shards.json";
    const int BytesAPart = 80;      // of JSON, in memory

    public static bool IsStore(string folder) =>
        File.Exists(Path.Combine(folder, MetadataName))
            && (File.Exists(Path.Combine(folder, ShardsName)) || Directory.EnumerateFiles(folder, "acts*.bin").Any());

    /// <summary>Whether a file of this name belongs to the store.</summary>
    public bool Names(string file) => file is MetadataName or ShardsName || Shards.Any(shard => shard.Name == file);

    /// <exception cref="SaeException">A file is missing or malformed, or the two disagree.</exception>
    public static SaevMetadata Load(string folder)
    {
        try { return Read(folder); }
        catch (InvalidOperationException e)
        {
            throw new SaeException($"{Path.Combine(folder, MetadataName)} or {ShardsName} holds text that is not UTF-8",
                e);
        }
    }

    static SaevMetadata Read(string folder)
    {
        var path = Path.Combine(folder, MetadataName);
        // first: older protocols lack it, and name the rest otherwise
        var shards = LoadShards(Path.Combine(folder, ShardsName));
        using var file = Parse(path);
        var metadata = file.RootElement;
        if (metadata.ValueKind != JsonValueKind.Object) throw Bad(path, "it is no object");
        if (metadata.TryGetProperty("dtype", out var type) && type.ToString() != "float32")
            throw Bad(path, $"its dtype is {type}; float32 is read");
        if (!metadata.TryGetProperty("layers", out var layers) || layers.ValueKind != JsonValueKind.Array
            || layers.GetArrayLength() is < 1 or > 10_000)
            throw Bad(path, "it has no layers");
        var numbers = layers.EnumerateArray()
            .Select(l => l.ValueKind == JsonValueKind.Number && l.TryGetInt32(out var n) ? n
                : throw Bad(path, $"its layer {l} is no number"))
            .ToArray();
        var cls = metadata.TryGetProperty("cls_token", out var c) ? c.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw Bad(path, $"its cls_token is {c}"),
        } : throw Bad(path, "it has no cls_token");
        var width = Whole(path, metadata, 16384, "d_model", "d_vit");
        if (width == 0) throw Bad(path, "its d_model is 0");
        var tokens = Whole(path, metadata, 1 << 24, "content_tokens_per_example", "patches_per_ex") + (cls ? 1 : 0);
        var budget = Whole(path, metadata, long.MaxValue, "max_tokens_per_shard", "patches_per_shard");
        var examples = Whole(path, metadata, 1L << 40, "n_examples", "n_ex");
        if (shards.Sum(s => s.Examples) != examples)
            throw Bad(path, $"it has {examples} examples, {ShardsName} {shards.Sum(s => s.Examples)}");
        var perShard = tokens == 0 ? 0 : budget / (tokens * numbers.Length);
        for (var s = 0; s < shards.Length; s++)
            if (shards[s].Examples > perShard || (shards[s].Examples < perShard && s < shards.Length - 1))
                throw Bad(path,
                    $"{shards[s].Name} holds {shards[s].Examples} examples, {perShard} were expected of {tokens} "
                        + $"tokens in {numbers.Length} layers");
        return new(folder, numbers, tokens, cls, (int)width, perShard, shards);
    }

    static (string Name, long Examples)[] LoadShards(string path)
    {
        if (!File.Exists(path))
            throw new SaeException($"{path} does not exist; stores of saev's protocol 2 have it, older ones must be "
                + "written again");
        using var file = Parse(path);
        if (file.RootElement.ValueKind != JsonValueKind.Array) throw Bad(path, "it is no array");
        return [.. file.RootElement.EnumerateArray().Select(shard =>
        {
            if (shard.ValueKind != JsonValueKind.Object || !shard.TryGetProperty("name", out var n)
                || n.ValueKind != JsonValueKind.String || n.GetString() is not { Length: > 0 } name
                || Path.GetFileName(name) != name)
                throw Bad(path, "a shard has no name of a file");
            return (name, Whole(path, shard, 1L << 40, "n_examples", "n_ex"));
        })];
    }

    /// <summary>A whole number from 0 to <paramref name="most"/> under the first of these names that is there: they
    /// changed between protocols.</summary>
    static long Whole(string path, JsonElement of, long most, params string[] names)
    {
        foreach (var name in names)
            if (of.TryGetProperty(name, out var value))
                return value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var whole) && whole >= 0
                    && whole <= most
                    ? whole : throw Bad(path, $"its {name} is {value}");
        throw Bad(path, $"it has no {names[0]}");
    }

    static JsonDocument Parse(string path)
    {
        try
        {
            var json = File.ReadAllBytes(path);
            JsonBudget.Check(json, BytesAPart, json.Length, why => Bad(path, why));
            return JsonDocument.Parse(json);
        }
        catch (JsonException e) { throw Bad(path, $"it is not JSON ({e.Message.Split('.')[0]})"); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e);
        }
    }

    static SaeException Bad(string path, string why) => new($"{path} does not describe saev's shards: {why}");
}
