using System.Globalization;
using CudaSae.Files;
using CudaSae.Numerics;

namespace CudaSae.Activations.Stores;

/// <summary>One layer of a shard of saev's.</summary>
sealed class SaevShard : IShard
{
    readonly MappedFile file;
    readonly long exampleBytes, layerBytes, tokens;     // tokens taken of each example
    readonly int firstToken;

    SaevShard(string path, SaevMetadata of, int layer, int firstToken, long tokens, long examples)
    {
        (Width, Site) = (of.Width, $"layer {of.Layers[layer]}");
        file = new(path);
        (this.firstToken, this.tokens) = (firstToken, tokens);
        var perLayer = of.Tokens * Width * sizeof(float);
        (exampleBytes, layerBytes) = (perLayer * of.Layers.Length, perLayer * layer);
        Rows = examples * tokens;
        Int128 filled = (Int128)examples * exampleBytes, whole = (Int128)of.ExamplesPerShard * exampleBytes;
        if (file.Length == filled || (file.Length == whole && whole > filled)) return;
        file.Dispose();
        throw new SaeException($"{path} has {file.Length} bytes; its {examples} examples of {of.Layers.Length} layers, "
            + $"{of.Tokens} tokens and width {Width} are {filled} (a whole shard {whole}): it is truncated, or its "
            + "metadata are another store's");
    }

    /// <summary>The shards of a store, of one layer.</summary>
    /// <param name="choice">"layer=13", with ",tokens=all" or ",tokens=special" for the CLS token too or alone; null
    /// where one layer was recorded.</param>
    public static IEnumerable<IShard> Open(SaevMetadata metadata, string? choice)
    {
        var (layer, first, tokens) = Choose(metadata, choice);
        foreach (var (name, examples) in metadata.Shards)
        {
            var path = System.IO.Path.Combine(metadata.Folder, name);
            if (!File.Exists(path)) throw new SaeException($"{path} does not exist, but shards.json names it");
            yield return new SaevShard(path, metadata, layer, first, tokens, examples);
        }
    }

    /// <summary>Index of the layer, first token and number of tokens. As in saev, the CLS token is left out unless it
    /// is asked for.</summary>
    static (int Layer, int First, long Tokens) Choose(SaevMetadata of, string? choice)
    {
        var layer = of.Layers.Length == 1 ? 0 : -1;
        var cls = of.Cls ? 1 : 0;
        var (first, tokens) = (cls, of.Tokens - cls);
        foreach (var part in (choice ?? "")
            .Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            if (part.StartsWith("layer=", StringComparison.Ordinal)
                && int.TryParse(part[6..], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number))
                layer = Array.IndexOf(of.Layers, number);
            else if (part == "tokens=all") (first, tokens) = (0, of.Tokens);
            else if (part == "tokens=special" && of.Cls) (first, tokens) = (0, 1);
            else if (part != "tokens=content")
                throw new SaeException($"--tensor {choice}: {part} chooses nothing in {of.Folder}; write layer=NUMBER, "
                    + $"tokens=content, tokens=all{(of.Cls ? " or tokens=special" : "")}");
        }
        if (layer < 0)
            throw new SaeException($"{of.Folder} holds layers {string.Join(", ", of.Layers)}: choose one with --tensor "
                + $"layer={of.Layers[0]}");
        return (layer, first, tokens);
    }

    public string Path => file.Path;
    public long Rows { get; }
    public int Width { get; }
    public InputType Type => InputType.Float32;
    public bool HasTokens => false;     // saev's are image patches
    public string Site { get; }

    public long Run(long i) => tokens - i % tokens;
    public void Read(long i, Span<byte> into) => file.Read(Place(i), into);
    public void Expect(long i, int count) => file.Expect(Place(i), (long)count * Width * sizeof(float));

    long Place(long i)
    {
        var (example, token) = Math.DivRem(i, tokens);
        return example * exampleBytes + layerBytes + (token + firstToken) * Width * sizeof(float);
    }

    public int Token(long i) => throw new InvalidOperationException();
    public string Locate(long i) => $"{Path}, example {i / tokens}, token {i % tokens + firstToken}";
    public void Dispose() => file.Dispose();
}
