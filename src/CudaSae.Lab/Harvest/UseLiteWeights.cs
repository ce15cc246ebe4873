using System.Runtime.InteropServices;
using System.Text.Json;
using CudaSae.Numerics;
using CudaSae.Text;

namespace CudaSae.Lab.Harvest;

/// <summary>Weights of Universal Sentence Encoder Lite in TensorFlow.js' layout: model.json names tensors in the order
/// of their bytes
/// in group1-shard1of7 … 7of7, float32.</summary>
sealed class UseLiteWeights : IDisposable
{
    const int BytesAPart = 200;     // of JSON, in memory
    readonly Dictionary<string, Matrix> tensors = [];

    /// <exception cref="SaeException">A file is missing or does not hold what model.json says.</exception>
    public UseLiteWeights(string folder)
    {
        var path = Path.Combine(folder, "model.json");
        try
        {
            var text = File.ReadAllBytes(path);
            JsonBudget.Check(text, BytesAPart, text.Length, why => new($"{path}: {why}"));
            using var json = JsonDocument.Parse(text);
            var group = json.RootElement.GetProperty("weightsManifest")[0];
            string[] shards = [.. group.GetProperty("paths").EnumerateArray()
                .Select(p => Path.GetFileName(p.GetString()) ?? "")];
            if (shards.Distinct().Count() != shards.Length) throw new SaeException($"{path} names a shard twice");
            var bytes = new byte[shards.Sum(s => new FileInfo(Path.Combine(folder, s)).Length)];
            var at = 0;
            foreach (var shard in shards) at += Fill(Path.Combine(folder, shard), bytes.AsSpan(at));
            at = 0;
            foreach (var weight in group.GetProperty("weights").EnumerateArray()) at = Read(weight, bytes, at);
            if (at != bytes.Length)
                throw new SaeException($"{folder}: the shards hold {bytes.Length} bytes, model.json describes {at}");
        }
        catch (SaeException)
        {
            Dispose();
            throw;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException
            or KeyNotFoundException or ArgumentException or InvalidOperationException or FormatException
            or IndexOutOfRangeException)
        {
            Dispose();
            throw new SaeException($"{folder} does not hold the encoder ({e.Message.TrimEnd('.')}); fetch it with "
                + "build/fetch-use-lite.sh",
                e);
        }
    }

    static int Fill(string path, Span<byte> into)
    {
        using var file = File.OpenRead(path);
        file.ReadExactly(into[..(int)file.Length]);
        return (int)file.Length;
    }

    /// <summary>One tensor; a shape that claims more than the shards hold is refused before anything of its size is
    /// made.</summary>
    int Read(JsonElement weight, byte[] bytes, int at)
    {
        var name = weight.GetProperty("name").GetString()
            ?? throw new SaeException("model.json has a tensor without a name");
        var shape = weight.GetProperty("shape").EnumerateArray().Select(e => e.GetInt32()).Where(e => e != 1).ToArray();
        Int128 claimed = 4;                     // int32 shape constants are as wide as float32
        foreach (var extent in shape)
            if (extent < 1 || (claimed *= extent) > bytes.Length - at)
                throw new SaeException($"model.json: tensor {name} claims an extent of {extent}, the shards hold "
                    + $"{bytes.Length} bytes");
        if (claimed > bytes.Length - at)
            throw new SaeException($"model.json describes more than the {bytes.Length} bytes of its shards");
        var columns = shape.Length > 0 ? shape[^1] : 1;
        var length = (int)claimed;
        var rows = length / 4 / columns;
        if (weight.GetProperty("dtype").GetString() == "float32")
        {
            if (tensors.ContainsKey(name)) throw new SaeException($"model.json describes tensor {name} twice");
            var matrix = new Matrix(rows, columns);
            for (var r = 0; r < rows; r++)
                MemoryMarshal.Cast<byte, float>(bytes.AsSpan(at + r * columns * 4, columns * 4)).CopyTo(matrix[r]);
            tensors[name] = matrix;
        }
        return at + length;
    }

    /// <summary>The tensor whose name ends so, extents of 1 dropped: [rows, columns].</summary>
    public Matrix this[string ending] =>
        tensors.Where(t => t.Key.EndsWith(ending, StringComparison.Ordinal)).Select(t => t.Value)
            .ToArray() is [var only]
            ? only
        : throw new SaeException($"model.json describes no tensor, or several, whose name ends in {ending}; fetch the "
            + "encoder with build/fetch-use-lite.sh");

    public void Dispose()
    {
        foreach (var tensor in tensors.Values) tensor.Dispose();
    }
}
