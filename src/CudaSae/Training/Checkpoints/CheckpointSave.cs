using CudaSae.Backends;

namespace CudaSae.Training.Checkpoints;

/// <summary>One checkpoint in the making. All ranks call <see cref="Begin"/> and <see cref="Commit"/> at the same
/// points, on their training threads. <see cref="Write"/> does not communicate, and may run on another
/// thread.</summary>
abstract class CheckpointSave
{
    /// <summary>Begins a checkpoint of the backend's current step.</summary>
    public static CheckpointSave Begin(string run, IBackend backend, CheckpointPosition at) =>
        backend.Shard is { Ranks: > 1 } shard ? RankedSave.Begin(run, backend, shard, at)
            : new SingleSave(run, backend, at);

    /// <summary>Writes the state of this process.</summary>
    public abstract void Write(IReadOnlyList<StateArray> arrays, StateReader read);

    /// <summary>Completes the checkpoint after <see cref="Write"/>.</summary>
    /// <returns>Its file or index.</returns>
    public abstract string Commit();

    sealed class SingleSave(string run, IBackend backend, CheckpointPosition at) : CheckpointSave
    {
        readonly string path = CheckpointFolder.StepPath(run, at.Step);

        public override void Write(IReadOnlyList<StateArray> arrays, StateReader read)
        {
            CheckpointFile.Write(path, arrays, read, Checkpoint.Metadata(backend, at));
            CheckpointRotation.Rotate(run, path, at.Fvu, backend.Config.KeepCheckpoints, backend.Config.KeepBest);
        }

        public override string Commit() => path;
    }
}
