using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Numerics;

namespace CudaSae.Training.Checkpoints;

/// <summary>Writes a run's checkpoints. In the background, where <c>config.async_checkpoints</c> and memory allow it:
/// state is copied into one buffer on the host between two steps, and a thread writes it from
/// there while training goes on. Training waits for the copy, and for the write before if that is not done. One thread
/// at a time.</summary>
sealed unsafe class CheckpointWriter : IDisposable
{
    readonly string run;
    readonly IBackend backend;
    readonly IReadOnlyList<StateArray> arrays;
    readonly Dictionary<string, long> starts = [];      // of each array in the buffer
    readonly Action<string> saved, note;
    byte* copy;
    Task<string>? writing;

    /// <param name="saved">Told each finished checkpoint's path, on the thread that calls <see cref="Save"/>,
    /// <see cref="Poll"/> or <see cref="Finish"/>.</param>
    /// <param name="note">Told in one line how checkpoints are written, where that is a choice.</param>
    public CheckpointWriter(string run, IBackend backend, Action<string> saved, Action<string> note)
    {
        (this.run, this.backend, this.saved, this.note) = (run, backend, saved, note);
        arrays = backend.State;
        foreach (var array in arrays)
        {
            starts[array.Name] = CopyBytes;
            CopyBytes += array.Bytes;
        }
        // With one checkpoint at the end there is no later step to overlap with.
        if (backend.Config is { AsyncCheckpoints: true, CheckpointEvery: > 0 }) TakeCopy();
    }

    /// <summary>Bytes of the state, which the buffer takes when checkpoints are written in the background.</summary>
    public long CopyBytes { get; }

    /// <summary>Whether checkpoints are written while training goes on.</summary>
    public bool InBackground => copy is not null;

    void TakeCopy()
    {
        // A backend's own memory on the host may be allocated and not yet touched.
        var needed = CopyBytes + (backend.StateIsOnHost ? backend.Plan.TotalBytes : 0);
        var free = HostMemory.AvailableBytes();
        if (needed > free)
        {
            note("checkpoints are written between two steps: a copy of the state for the background needs "
                + $"{MemoryPlan.Format(CopyBytes)} of this machine's memory, {MemoryPlan.Format(free)} are free");
            return;
        }
        copy = (byte*)NativeMemory.Alloc((nuint)CopyBytes);
        if (backend.StateIsOnHost) backend.Plan.Add("copy of the state for checkpoints", CopyBytes);
        note($"checkpoints are written in the background, from a copy of the state: {MemoryPlan.Format(CopyBytes)} of "
            + "this machine's memory");
    }

    /// <summary>Saves the state of this moment; in the background it is complete when <c>saved</c> was told.</summary>
    /// <exception cref="SaeException">This write, or in the background the one before it, failed: older checkpoints are
    /// untouched.</exception>
    public void Save(CheckpointPosition at)
    {
        Finish();
        if (!InBackground)
        {
            saved(Checkpoint.Save(run, backend, at));
            return;
        }
        foreach (var array in arrays)
            for (long offset = 0; offset < array.Bytes; offset += CheckpointFile.ChunkBytes)
                backend.ReadState(array, offset,
                    new(copy + starts[array.Name] + offset,
                        (int)Math.Min(CheckpointFile.ChunkBytes, array.Bytes - offset)));
        writing = Task.Factory.StartNew(() => Checkpoint.Save(run, backend, arrays, ReadCopy, at),
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    void ReadCopy(StateArray array, long offset, Span<byte> into) =>
        new ReadOnlySpan<byte>(copy + starts[array.Name] + offset, into.Length).CopyTo(into);

    /// <summary>Looks, without waiting, whether a write has ended.</summary>
    /// <exception cref="SaeException">It failed.</exception>
    public void Poll()
    {
        if (writing is { IsCompleted: true }) Finish();
    }

    /// <summary>Waits for the write in progress.</summary>
    /// <exception cref="SaeException">It failed.</exception>
    public void Finish()
    {
        if (writing is not { } task) return;
        writing = null;
        saved(task.GetAwaiter().GetResult());
    }

    /// <summary>Waits for the write in progress; if it fails while another error is thrown, its message becomes a
    /// note.</summary>
    public void Dispose()
    {
        try { Finish(); }
        catch (SaeException e) { note(e.Message); }
        finally
        {
            NativeMemory.Free(copy);
            copy = null;
        }
    }
}
