using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Files.Zip;

namespace CudaSae.Training.Checkpoints;

/// <summary>Copies bytes [offset, offset + length) of a state array out, from a backend or from a copy of its
/// state.</summary>
delegate void StateReader(StateArray array, long offset, Span<byte> into);

/// <summary>A checkpoint that was written whole and is so no longer: another one may be.</summary>
sealed class DamagedCheckpointException(string path, string why)
    : SaeException($"{path} is damaged: {why}", kind: SaeErrorKind.Files);

/// <summary>One checkpoint: state as tensors; version, position and a CRC-32 of each tensor (<c>checksum.NAME</c>) and
/// of everything else in the header (<c>checksum</c>) as metadata, eight hex digits each,
/// as zlib.crc32 has them.</summary>
static class CheckpointFile
{
    public const int ChunkBytes = 16 << 20;
    const string Version = "2", TensorPrefix = "checksum.";

    /// <summary>Reads all state twice: once for the checksums, which stand before it, and once to write it.</summary>
    public static void Write(string path, IReadOnlyList<StateArray> arrays, StateReader read,
        IEnumerable<KeyValuePair<string, string>> metadata)
    {
        var buffer = new byte[Math.Min(ChunkBytes, arrays.Max(a => a.Bytes))];
        var all = new Dictionary<string, string>(metadata) { ["version"] = Version };
        foreach (var array in arrays)
        {
            var crc = 0u;
            ForEachChunk(array, part => crc = Crc32.Append(crc, part));
            all[TensorPrefix + array.Name] = Hex(crc);
        }
        all["checksum"] = Hex(HeaderCrc(all, arrays.Select(a => (a.Name, a.Type, a.Shape))));
        SafetensorsWriter.Write(path,
            arrays.Select(array => new TensorToWrite(array.Name, array.Type, array.Shape,
                stream => ForEachChunk(array, part => stream.Write(part)))),
            all);

        void ForEachChunk(StateArray array, ChunkAction action)
        {
            for (long offset = 0; offset < array.Bytes; offset += buffer.Length)
            {
                var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, array.Bytes - offset));
                read(array, offset, part);
                action(part);
            }
        }
    }

    delegate void ChunkAction(ReadOnlySpan<byte> part);

    /// <summary>Opens a checkpoint after all of its checksums were compared. One of version 1, which had none, is
    /// opened as it is.</summary>
    /// <exception cref="DamagedCheckpointException">A byte of it is not what was written; names the tensor.</exception>
    /// <exception cref="SaeException">It is of a later version.</exception>
    public static SafetensorsFile OpenVerified(string path)
    {
        var file = OpenHeader(path);
        try
        {
            var buffer = new byte[Math.Min(ChunkBytes,
                file.Tensors.Values.Select(t => t.Bytes).DefaultIfEmpty(1).Max())];
            foreach (var (key, expected) in file.Metadata)
                if (key.StartsWith(TensorPrefix, StringComparison.Ordinal)
                    && TensorCrc(file, file.Tensors[key[TensorPrefix.Length..]], buffer) != expected)
                    throw new DamagedCheckpointException(path,
                        $"tensor {key[TensorPrefix.Length..]} differs from its checksum");
            return file;
        }
        catch { file.Dispose(); throw; }
    }

    /// <summary>As <see cref="OpenVerified"/>, but for the tensors' contents.</summary>
    public static SafetensorsFile OpenHeader(string path)
    {
        SafetensorsFile file;
        try { file = new(path); }
        catch (SaeException e) when (e.InnerException is UnauthorizedAccessException) { throw; }    // it may be whole
        catch (SaeException e)
        {
            throw new DamagedCheckpointException(path,
                e.Message.Replace($"{path} is not a usable safetensors file: ", ""));
        }
        try
        {
            if (!HasChecksums(file)) return file;
            if (!file.Metadata.TryGetValue("checksum", out var expected)
                || expected != Hex(HeaderCrc(file.Metadata,
                    file.Tensors.Values.Select(t => (t.Name, t.Type, t.Shape)))))
                throw new DamagedCheckpointException(path, "its header differs from its checksum");
            if (file.Metadata.GetValueOrDefault("version") is var version && version != Version)
                throw new SaeException($"{path} is a checkpoint of version {version}, this program reads up to "
                    + $"{Version}; use the program that wrote it");
            return file;
        }
        catch { file.Dispose(); throw; }
    }

    public static bool HasChecksums(SafetensorsFile file) =>
        file.Metadata.Keys.Any(key => key == "version" || key.StartsWith("checksum", StringComparison.Ordinal));

    public static void WriteInto(SafetensorsFile file, IBackend backend)
    {
        // All of it is looked for before any of it is written.
        var tensors = backend.State.Select(array =>
            (array, tensor: file.Require(NameIn(file, array.Name), array.Type, array.Shape))).ToArray();
        var buffer = new byte[ChunkBytes];
        foreach (var (array, tensor) in tensors)
            ForEachChunk(file, tensor, buffer, (offset, part) => backend.WriteState(array, offset, part));
        if (tensors.FirstOrDefault(t => t.array.Name == Variance
            && t.tensor.Name == MeanSquare).array is { } variance) WriteVariance(file, backend, variance);
    }

    // The running variance of pre-activations; earlier versions saved their mean square.
    const string Variance = "spread_variance", MeanSquare = "spread_square";

    static string NameIn(SafetensorsFile file, string name) => name == Variance && !file.Tensors.ContainsKey(name)
        ? MeanSquare : name;

    static void WriteVariance(SafetensorsFile file, IBackend backend, StateArray into)
    {
        float[] Numbers(string name)
        {
            var numbers = new float[into.Bytes / sizeof(float)];
            file.Read(file.Require(name, into.Type, into.Shape), 0, MemoryMarshal.AsBytes(numbers.AsSpan()));
            return numbers;
        }
        float[] variance = [.. Numbers("spread_mean")
            .Zip(Numbers(MeanSquare), (mean, square) => MathF.Max(0, square - mean * mean))];
        backend.WriteState(into, 0, MemoryMarshal.AsBytes(variance.AsSpan()));
    }

    delegate void PlacedAction(long offset, ReadOnlySpan<byte> part);

    static void ForEachChunk(SafetensorsFile file, StoredTensor tensor, byte[] buffer, PlacedAction action)
    {
        for (long offset = 0; offset < tensor.Bytes; offset += buffer.Length)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, tensor.Bytes - offset));
            file.Read(tensor, offset, part);
            action(offset, part);
        }
    }

    static string TensorCrc(SafetensorsFile file, StoredTensor tensor, byte[] buffer)
    {
        var crc = 0u;
        ForEachChunk(file, tensor, buffer, (_, part) => crc = Crc32.Append(crc, part));
        return Hex(crc);
    }

    /// <summary>Of lines: key=value for all metadata but this one, then name type [shape] for all tensors, both in the
    /// order of their names.</summary>
    static uint HeaderCrc(IEnumerable<KeyValuePair<string, string>> metadata,
        IEnumerable<(string Name, string Type, long[] Shape)> tensors)
    {
        var text = new StringBuilder();
        foreach (var (key, value) in metadata.Where(pair => pair.Key != "checksum")
            .OrderBy(pair => pair.Key, StringComparer.Ordinal))
            text.Append(key).Append('=').Append(value).Append('\n');
        foreach (var (name, type, shape) in tensors.OrderBy(t => t.Name, StringComparer.Ordinal))
            text.Append(name).Append(' ').Append(type).Append(" [").AppendJoin(", ", shape).Append("]\n");
        return Crc32.Append(0, Encoding.UTF8.GetBytes(text.ToString()));
    }

    static string Hex(uint crc) => crc.ToString("x8", CultureInfo.InvariantCulture);
}
