using System.Globalization;
using CudaSae.Backends;
using CudaSae.Data;

namespace CudaSae.Checkpoints;

/// <summary>Where a resumed run goes on.</summary>
/// <param name="Step">The last step that was finished.</param>
/// <param name="Cursor">The next unread row.</param>
/// <param name="State">What the trainer decided so far, by name.</param>
public readonly record struct CheckpointPosition(long Step, RowCursor Cursor, IReadOnlyDictionary<string, string>? State = null);

/// <summary>All of a backend's state in one safetensors file, checkpoint/step-N.safetensors; the last two are kept. Written atomically.</summary>
public static class Checkpoint
{
    const int ChunkBytes = 16 << 20;
    const int Keep = 2;

    static string Folder(string run) => Path.Combine(run, "checkpoint");

    public static string Save(string run, IBackend backend, CheckpointPosition at)
    {
        var path = Path.Combine(Folder(run), $"step-{at.Step:D9}.safetensors");
        var buffer = new byte[ChunkBytes];
        SafetensorsWriter.Write(path, backend.State.Select(array => new TensorToWrite(array.Name, array.Type, array.Shape, stream =>
        {
            for (long offset = 0; offset < array.Bytes; offset += ChunkBytes)
            {
                var part = buffer.AsSpan(0, (int)Math.Min(ChunkBytes, array.Bytes - offset));
                backend.ReadState(array, offset, part);
                stream.Write(part);
            }
        })), new Dictionary<string, string>(at.State ?? new Dictionary<string, string>())
        {
            ["step"] = at.Step.ToString(CultureInfo.InvariantCulture),
            ["epoch"] = at.Cursor.Epoch.ToString(CultureInfo.InvariantCulture),
            ["position"] = at.Cursor.Position.ToString(CultureInfo.InvariantCulture),
        });
        foreach (var old in All(run).SkipLast(Keep)) File.Delete(old);
        return path;
    }

    static string[] All(string run) => Directory.Exists(Folder(run))
        ? [.. Directory.GetFiles(Folder(run), "step-*.safetensors").Order(StringComparer.Ordinal)] : [];

    /// <summary>Restores the newest checkpoint of a run.</summary>
    /// <exception cref="SaeException">There is none, or it belongs to another architecture or backend.</exception>
    public static CheckpointPosition Restore(string run, IBackend backend, uint deadAfterSteps)
    {
        var path = All(run).LastOrDefault() ?? throw new SaeException($"{run} holds no checkpoint to resume from");
        using var file = new SafetensorsFile(path);
        foreach (var array in backend.State)
        {
            var tensor = file.Require(array.Name, array.Type, array.Shape);
            for (long offset = 0; offset < array.Bytes; offset += ChunkBytes)
                backend.WriteState(array, offset, file.Slice(tensor, offset, (int)Math.Min(ChunkBytes, array.Bytes - offset)));
        }
        var at = new CheckpointPosition(Number("step"), new(Number("epoch"), Number("position")), file.Metadata);
        backend.AfterRestore((uint)at.Step, deadAfterSteps);
        return at;

        long Number(string key) => file.Metadata.TryGetValue(key, out var text) && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number : throw new SaeException($"{path} is no checkpoint: its metadata lacks {key}");
    }
}
