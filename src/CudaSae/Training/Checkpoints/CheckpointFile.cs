using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Files.Zip;

namespace CudaSae.Training.Checkpoints;

/// <summary>Copies the bytes [offset, offset + into.Length) of a state array, from a backend or from a copy of its
/// state.</summary>
delegate void StateReader(StateArray array, long offset, Span<byte> into);

/// <summary>A checkpoint was written whole and has changed since. Another checkpoint may still be whole.</summary>
sealed class DamagedCheckpointException : SaeException
{
    public DamagedCheckpointException(string path, string why) : this($"{path} is damaged: {why}") { }

    /// <param name="message">The message of another rank, which names the file.</param>
    public DamagedCheckpointException(string message) : base(message, kind: SaeErrorKind.Files) { }
}

/// <summary>The file of a checkpoint. Its tensors are the state. Its metadata are the version, the position, a CRC-32
/// of each tensor (<c>checksum.NAME</c>) and a CRC-32 of everything else in the header (<c>checksum</c>). A CRC-32 has
/// eight hexadecimal digits and equals that of zlib.crc32.</summary>
static class CheckpointFile
{
    public const int ChunkBytes = 16 << 20;
    const string Version = "2", TensorPrefix = "checksum.";

    /// <summary>Writes a checkpoint. It reads all state twice: once for the checksums, which precede the state in the
    /// file, and once to write it.</summary>
    /// <returns>The checksum in the header.</returns>
    public static string Write(string path, IReadOnlyList<StateArray> arrays, StateReader read,
        IEnumerable<KeyValuePair<string, string>> metadata)
    {
        var buffer = new byte[Math.Min(ChunkBytes, arrays.Max(a => a.Bytes))];
        var all = new Dictionary<string, string>(metadata) { ["version"] = Version };
        foreach (var array in arrays)
        {
            var crc = 0u;
            ForEachChunk(array, read, buffer, part => crc = Crc32.Append(crc, part));
            all[TensorPrefix + array.Name] = Hex(crc);
        }
        all["checksum"] = Hex(HeaderCrc(all, arrays.Select(a => (a.Name, a.Type, a.Shape))));
        SafetensorsWriter.Write(path,
            arrays.Select(array => new TensorToWrite(array.Name, array.Type, array.Shape,
                stream => ForEachChunk(array, read, buffer, part => stream.Write(part)))),
            all);
        return all["checksum"];
    }

    /// <summary>Returns the checksum of an array, as a file that holds it states it.</summary>
    public static uint Crc(StateArray array, StateReader read)
    {
        var crc = 0u;
        var buffer = new byte[Math.Min(ChunkBytes, array.Bytes)];
        ForEachChunk(array, read, buffer, part => crc = Crc32.Append(crc, part));
        return crc;
    }

    static void ForEachChunk(StateArray array, StateReader read, byte[] buffer, ChunkAction action)
    {
        for (long offset = 0; offset < array.Bytes; offset += buffer.Length)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, array.Bytes - offset));
            read(array, offset, part);
            action(part);
        }
    }

    delegate void ChunkAction(ReadOnlySpan<byte> part);

    /// <summary>Opens a checkpoint and compares all of its checksums. A checkpoint of version 1 has none and is opened
    /// unchecked.</summary>
    /// <param name="share">The share of the tensors to compare, from 0; other ranks compare the other shares.</param>
    /// <param name="shares">Number of shares.</param>
    /// <exception cref="DamagedCheckpointException">A byte differs from the one that was written; names the
    /// tensor.</exception>
    /// <exception cref="SaeException">The checkpoint is of a later version, or the file of one rank.</exception>
    public static SafetensorsFile OpenVerified(string path, int share = 0, int shares = 1)
    {
        var file = OpenHeader(path);
        try
        {
            if (file.Metadata.ContainsKey(ShardInfo.Key))
                throw new SaeException($"{path} holds the latents of one rank only; name the index of its checkpoint, "
                    + $"*{CheckpointFolder.IndexEnd}, or the run's folder", kind: SaeErrorKind.Files);
            Verify(file, share, shares);
            return file;
        }
        catch { file.Dispose(); throw; }
    }

    /// <summary>Compares the checksums of a share of the tensors.</summary>
    /// <exception cref="DamagedCheckpointException">A tensor differs; names it.</exception>
    public static void Verify(SafetensorsFile file, int share, int shares)
    {
        var buffer = new byte[Math.Min(ChunkBytes,
            file.Tensors.Values.Select(t => t.Bytes).DefaultIfEmpty(1).Max())];
        var number = 0;
        foreach (var (key, expected) in file.Metadata)
            if (key.StartsWith(TensorPrefix, StringComparison.Ordinal) && number++ % shares == share
                && TensorCrc(file, file.Tensors[key[TensorPrefix.Length..]], buffer) != expected)
                throw new DamagedCheckpointException(file.Path,
                    $"tensor {key[TensorPrefix.Length..]} differs from its checksum");
    }

    /// <summary>Opens a checkpoint and compares the checksum of its header, but not those of its tensors.</summary>
    /// <exception cref="DamagedCheckpointException">The header differs from the one that was written.</exception>
    /// <exception cref="SaeException">The checkpoint is of a later version, or access is denied.</exception>
    public static SafetensorsFile OpenHeader(string path)
    {
        SafetensorsFile file;
        try { file = new(path); }
        // Denied access does not show that the file is damaged.
        catch (SaeException e) when (e.InnerException is UnauthorizedAccessException) { throw; }
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
                throw new SaeException($"{path} is a checkpoint of version {version}, but this program reads versions "
                    + $"up to {Version}; use the program that wrote it");
            return file;
        }
        catch { file.Dispose(); throw; }
    }

    /// <summary>Returns whether a checkpoint has checksums, which version 1 lacks.</summary>
    public static bool HasChecksums(SafetensorsFile file) =>
        file.Metadata.Keys.Any(key => key == "version" || key.StartsWith("checksum", StringComparison.Ordinal));

    /// <summary>Copies the state of a checkpoint into a backend. A backend with a share takes the rows of its own
    /// latents.</summary>
    /// <exception cref="SaeException">An array is missing or has another type or shape; no state has changed
    /// then.</exception>
    public static void WriteInto(TensorFile file, IBackend backend)
    {
        // All arrays are found before any of them is written.
        var tensors = backend.State.Select(array => (array, tensor: file.Require(NameIn(file, array.Name), array.Type,
            ShardInfo.WholeShape(array, backend)))).ToArray();
        var buffer = new byte[ChunkBytes];
        foreach (var (array, tensor) in tensors)
            ForEachChunk(file, tensor, ShardInfo.Start(array, backend.Shard), array.Bytes, buffer,
                (offset, part) => backend.WriteState(array, offset, part));
        if (tensors.FirstOrDefault(t => t.array.Name == Variance
            && t.tensor.Name == MeanSquare).array is { } variance) WriteVariance(file, backend, variance);
    }

    // The running variance of the pre-activations. Earlier versions saved their mean square.
    const string Variance = "spread_variance", MeanSquare = "spread_square";

    static string NameIn(TensorFile file, string name) => name == Variance && !file.Tensors.ContainsKey(name)
        ? MeanSquare : name;

    static void WriteVariance(TensorFile file, IBackend backend, StateArray into)
    {
        float[] Numbers(string name)
        {
            var numbers = new float[into.Bytes / sizeof(float)];
            file.Read(file.Require(name, into.Type, ShardInfo.WholeShape(into, backend)),
                ShardInfo.Start(into, backend.Shard), MemoryMarshal.AsBytes(numbers.AsSpan()));
            return numbers;
        }
        float[] variance = [.. Numbers("spread_mean")
            .Zip(Numbers(MeanSquare), (mean, square) => MathF.Max(0, square - mean * mean))];
        backend.WriteState(into, 0, MemoryMarshal.AsBytes(variance.AsSpan()));
    }

    delegate void PlacedAction(long offset, ReadOnlySpan<byte> part);

    /// <summary>Reads the bytes [start, start + bytes) of a tensor. Offsets count from the start.</summary>
    static void ForEachChunk(TensorFile file, StoredTensor tensor, long start, long bytes, byte[] buffer,
        PlacedAction action)
    {
        for (long offset = 0; offset < bytes; offset += buffer.Length)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, bytes - offset));
            file.Read(tensor, start + offset, part);
            action(offset, part);
        }
    }

    static string TensorCrc(SafetensorsFile file, StoredTensor tensor, byte[] buffer)
    {
        var crc = 0u;
        ForEachChunk(file, tensor, 0, tensor.Bytes, buffer, (_, part) => crc = Crc32.Append(crc, part));
        return Hex(crc);
    }

    /// <summary>Returns the CRC-32 of the header as text: a line key=value for each entry of the metadata except this
    /// checksum, then a line name type [shape] for each tensor, both in the order of their names.</summary>
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
