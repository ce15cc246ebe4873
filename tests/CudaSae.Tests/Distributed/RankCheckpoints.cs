using CudaSae.Backends.Cpu;
using CudaSae.Distributed;
using CudaSae.Numerics;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Backends of ranks for tests of checkpoints. Their state is a function of array, row and column.</summary>
static class RankCheckpoints
{
    public static readonly SaeSpec Spec = new()
    {
        InputWidth = 24, Latents = 100, Selection = new Selection.BatchTopK(4)
    };
    public static readonly TrainConfig Config = new() { BatchRows = 16, Vectors = 16 * 40, EmaDecay = 0.9f };

    /// <summary>Makes the backend of a rank; of one process if the group has one member.</summary>
    public static CpuBackend Backend(ICollective ranks, TrainConfig? config = null) =>
        new(Spec, config ?? Config, InputType.Float32, 1, ranks.Size > 1 ? new ShardPlan(ranks, Spec) : null);

    /// <summary>Sets all state to numbers that differ by array, row, column and seed.</summary>
    public static void Fill(IBackend backend, int seed = 0)
    {
        foreach (var array in backend.State) backend.WriteState(array, 0, Expected(backend, array, seed));
    }

    /// <summary>Requires the state of <see cref="Fill"/>.</summary>
    public static void AssertFilled(IBackend backend, int seed = 0) => Assert.All(backend.State,
        array => Assert.True(Expected(backend, array, seed).AsSpan().SequenceEqual(States.Of(backend, array)),
            $"array {array.Name} of rank {backend.Shard?.Rank} of {backend.Shard?.Ranks ?? 1} differs"));

    static byte[] Expected(IBackend backend, StateArray array, int seed)
    {
        var start = array.ByLatent && backend.Shard is { } shard ? array.Bytes / array.Shape[0] * shard.First : 0;
        var name = array.Name.Aggregate(seed * 7919, (sum, c) => sum * 31 + c);
        var bytes = new byte[array.Bytes];
        for (var i = 0; i < bytes.Length; i++)
            bytes[i] = (byte)(((start + i) * 2654435761 + name) >> 16);
        return bytes;
    }

    /// <summary>Saves the state of a seed on a number of ranks; the step is the seed.</summary>
    public static void Save(string run, int ranks, int seed, double? fvu = null, TrainConfig? config = null) =>
        RankThreads.Run(ranks, collective =>
        {
            using var backend = Backend(collective, config);
            Fill(backend, seed);
            Checkpoint.Save(run, backend, new(seed, new(1, 2), null, fvu));
        });

    /// <summary>Restores on a number of ranks, requires the state of one seed on all, and returns the notes.</summary>
    public static string[] Restore(string run, int ranks, int seed, bool refuse = false)
    {
        var notes = RankThreads.Run(ranks, collective =>
        {
            using var backend = Backend(collective);
            var own = new List<string>();
            var at = Checkpoint.Restore(run, backend, 4, refuse ? null : own.Add);
            Assert.Equal((seed, new(1, 2)), (at.Step, at.Cursor));
            AssertFilled(backend, seed);
            return own.ToArray();
        });
        Assert.All(notes, own => Assert.Equal(notes[0], own));
        return notes[0];
    }

    /// <summary>Returns the names of all files below a run's checkpoint folder.</summary>
    public static string[] Names(string run) =>
    [
        .. Directory.GetFileSystemEntries(Path.Combine(run, "checkpoint"), "*", SearchOption.AllDirectories)
            .Where(path => !Directory.Exists(path))
            .Select(path => Path.GetRelativePath(Path.Combine(run, "checkpoint"), path))
            .Order(StringComparer.Ordinal),
    ];
}
