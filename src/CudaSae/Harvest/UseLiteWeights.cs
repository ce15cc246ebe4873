using System.Runtime.InteropServices;
using System.Text.Json;
using CudaSae.Model;

namespace CudaSae.Harvest;

/// <summary>Weights of Universal Sentence Encoder Lite in TensorFlow.js' layout: model.json names tensors in the order of their bytes
/// in group1-shard1of7 … 7of7, float32.</summary>
sealed class UseLiteWeights : IDisposable
{
    readonly Dictionary<string, Matrix> tensors = [];

    /// <exception cref="SaeException">A file is missing or does not hold what model.json says.</exception>
    public UseLiteWeights(string folder)
    {
        var path = Path.Combine(folder, "model.json");
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(path));
            var group = json.RootElement.GetProperty("weightsManifest")[0];
            var bytes = group.GetProperty("paths").EnumerateArray().SelectMany(p => File.ReadAllBytes(Path.Combine(folder, Path.GetFileName(p.GetString()!)))).ToArray();
            var at = 0;
            foreach (var weight in group.GetProperty("weights").EnumerateArray()) at = Read(weight, bytes, at);
            if (at != bytes.Length) throw new SaeException($"{folder}: the shards hold {bytes.Length} bytes, model.json describes {at}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException or ArgumentException)
        {
            throw new SaeException($"{folder} does not hold the encoder ({e.Message.TrimEnd('.')}); fetch it with build/fetch-use-lite.sh", e);
        }
    }

    int Read(JsonElement weight, byte[] bytes, int at)
    {
        var shape = weight.GetProperty("shape").EnumerateArray().Select(e => e.GetInt32()).Where(e => e != 1).ToArray();
        var columns = shape.Length > 0 ? shape[^1] : 1;
        var rows = shape.Length > 1 ? shape[..^1].Aggregate((a, b) => a * b) : 1;
        var length = rows * columns * 4;        // int32 shape constants are as wide as float32
        if (weight.GetProperty("dtype").GetString() == "float32")
        {
            var matrix = new Matrix(rows, columns);
            for (var r = 0; r < rows; r++) MemoryMarshal.Cast<byte, float>(bytes.AsSpan(at + r * columns * 4, columns * 4)).CopyTo(matrix[r]);
            tensors[weight.GetProperty("name").GetString()!] = matrix;
        }
        return at + length;
    }

    /// <summary>The tensor whose name ends so, extents of 1 dropped: [rows, columns].</summary>
    public Matrix this[string ending] => tensors.Single(t => t.Key.EndsWith(ending, StringComparison.Ordinal)).Value;

    public void Dispose()
    {
        foreach (var tensor in tensors.Values) tensor.Dispose();
    }
}
