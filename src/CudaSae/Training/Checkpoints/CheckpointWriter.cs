using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Distributed;
using CudaSae.Numerics;

namespace CudaSae.Training.Checkpoints;

/// <summary>Writes a run's checkpoints, in the background if <c>config.async_checkpoints</c> and memory allow it. The
/// state is then copied into one buffer on the host between two steps, and a thread writes it from there while training
/// continues. Training waits for the copy, and for the previous write if that is not finished. Only one thread at a
/// time may call the methods. On several ranks, all ranks call them at the same steps; the threads that write do not
/// communicate, and <see cref="Poll"/> completes a checkpoint in a step in which all ranks have written.</summary>
sealed unsafe class CheckpointWriter : IDisposable
{
    readonly string run;
    readonly IBackend backend;
    readonly IReadOnlyList<StateArray> arrays;
    readonly Dictionary<string, long> starts = [];      // offset of each array in the buffer
    readonly Action<string> saved, note;
    readonly ICollective? ranks;
    byte* copy;
    CheckpointSave save = null!;        // the checkpoint that is written
    Task? writing;

    /// <param name="saved">Called with the path of each finished checkpoint, on the thread that calls
    /// <see cref="Save"/>, <see cref="Poll"/> or <see cref="Finish"/>.</param>
    /// <param name="note">Takes one line on how checkpoints are written, if the config allows the background.</param>
    public CheckpointWriter(string run, IBackend backend, Action<string> saved, Action<string> note)
    {
        (this.run, this.backend, this.saved, this.note) = (run, backend, saved, note);
        ranks = backend.Shard is { Ranks: > 1, Collective: var all } ? all : null;
        arrays = backend.State;
        foreach (var array in arrays)
        {
            starts[array.Name] = CopyBytes;
            CopyBytes += array.Bytes;
        }
        // A single checkpoint at the end has no later step to overlap with.
        if (backend.Config is { AsyncCheckpoints: true, CheckpointEvery: > 0 }) TakeCopy();
    }

    /// <summary>Size of the state in bytes. The buffer for writing in the background has this size.</summary>
    public long CopyBytes { get; }

    /// <summary>Whether checkpoints are written while training continues.</summary>
    public bool InBackground => copy is not null;

    void TakeCopy()
    {
        // Memory of a backend on the host may be allocated and not yet touched; it then still counts as free.
        var needed = (CopyBytes + (backend.StateIsOnHost ? backend.Plan.TotalBytes : 0)) * (ranks?.LocalSize ?? 1);
        var free = HostMemory.AvailableBytes();
        var exceeds = needed > free;
        if (ranks is not null) exceeds = ranks.Max(exceeds ? 1 : 0) > 0;
        if (exceeds)
        {
            note("checkpoints are written between two steps: a copy of the state for the background needs "
                + $"{MemoryPlan.Format(CopyBytes)} of this machine's memory, but {MemoryPlan.Format(free)} are free");
            return;
        }
        copy = (byte*)NativeMemory.Alloc((nuint)CopyBytes);
        if (backend.StateIsOnHost) backend.Plan.Add("copy of the state for checkpoints", CopyBytes);
        note($"checkpoints are written in the background, from a copy of the state: {MemoryPlan.Format(CopyBytes)} of "
            + "this machine's memory");
    }

    /// <summary>Saves the current state. A write in the background is complete when <c>saved</c> is called.</summary>
    /// <exception cref="SaeException">This write failed, or the previous write in the background; older checkpoints are
    /// unchanged.</exception>
    public void Save(CheckpointPosition at)
    {
        Finish();
        save = CheckpointSave.Begin(run, backend, at);
        if (!InBackground)
        {
            save.Write(arrays, backend.ReadState);
            saved(save.Commit());
            return;
        }
        foreach (var array in arrays)
            for (long offset = 0; offset < array.Bytes; offset += CheckpointFile.ChunkBytes)
                backend.ReadState(array, offset,
                    new(copy + starts[array.Name] + offset,
                        (int)Math.Min(CheckpointFile.ChunkBytes, array.Bytes - offset)));
        var now = save;
        writing = Task.Factory.StartNew(() => now.Write(arrays, ReadCopy), CancellationToken.None,
            TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    void ReadCopy(StateArray array, long offset, Span<byte> into) =>
        new ReadOnlySpan<byte>(copy + starts[array.Name] + offset, into.Length).CopyTo(into);

    /// <summary>Reports a write that has ended on all ranks, without waiting for one in progress.</summary>
    /// <exception cref="SaeException">The write failed.</exception>
    public void Poll()
    {
        if (writing is null) return;
        var ended = writing.IsCompleted;
        if (ranks is not null) ended = ranks.Max(ended ? 0 : 1) == 0;
        if (ended) Finish();
    }

    /// <summary>Waits for the write in progress.</summary>
    /// <exception cref="SaeException">The write failed.</exception>
    public void Finish()
    {
        if (writing is not { } task) return;
        writing = null;
        task.GetAwaiter().GetResult();
        saved(save.Commit());
    }

    /// <summary>Waits for the write in progress. If it fails, its message becomes a note, so that it does not replace
    /// another error. On several ranks the checkpoint in progress is dropped, because another rank may have
    /// ended.</summary>
    public void Dispose()
    {
        try
        {
            if (ranks is null) Finish();
            else writing?.GetAwaiter().GetResult();
        }
        catch (SaeException e) { note(e.Message); }
        finally
        {
            NativeMemory.Free(copy);
            copy = null;
        }
    }
}
