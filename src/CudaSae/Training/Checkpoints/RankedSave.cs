using System.Globalization;
using CudaSae.Backends;
using CudaSae.Distributed;

namespace CudaSae.Training.Checkpoints;

/// <summary>A checkpoint of several ranks in the making. Each rank writes checkpoint/step-N/rank-R-of-P.safetensors.
/// Rank 0 then writes checkpoint/step-N.index.json, and the rename that gives the index its name commits the
/// checkpoint. Until then, older checkpoints are unchanged.</summary>
sealed class RankedSave : CheckpointSave
{
    readonly string run, folder;
    readonly IBackend backend;
    readonly ShardPlan shard;
    readonly CheckpointPosition at;
    RankFile? own;
    SaeException? problem;
    StateArray[] copies = [];       // arrays of which every rank has a copy
    long[] copySums = [];           // checksums of this rank's copies

    RankedSave(string run, string folder, IBackend backend, ShardPlan shard, CheckpointPosition at) =>
        (this.run, this.folder, this.backend, this.shard, this.at) = (run, folder, backend, shard, at);

    ICollective Ranks => shard.Collective;

    string Checkpoints => CheckpointFolder.Of(run);

    /// <summary>Takes the folder of the files on all ranks.</summary>
    public static RankedSave Begin(string run, IBackend backend, ShardPlan shard, CheckpointPosition at)
    {
        var folder = "";
        RankAgreement.OnRoot(shard.Collective, () =>
        {
            try { folder = RankFolders.New(run, CheckpointFolder.NameOf(at.Step)); }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new SaeException($"cannot write a checkpoint into {CheckpointFolder.Of(run)}: "
                    + $"{e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
            }
        });
        return new(run, shard.Collective.Broadcast(folder, 0), backend, shard, at);
    }

    /// <summary>Writes the file of this rank. <see cref="Commit"/> throws an error of the write on all ranks.</summary>
    public override void Write(IReadOnlyList<StateArray> arrays, StateReader read)
    {
        try
        {
            copies = [.. arrays.Where(array => !array.ByLatent)];
            copySums = [.. copies.Select(array => (long)CheckpointFile.Crc(array, read))];
            var (name, mine) = ($"{folder}/{RankFile.NameOf(shard.Rank, shard.Ranks)}",
                ShardInfo.Written(arrays, shard));
            var (path, metadata) = (Path.Combine(Checkpoints, name), Checkpoint.Metadata(backend, at));
            ShardInfo.Describe(metadata, mine, backend);
            var checksum = CheckpointFile.Write(path, mine, read, metadata);
            own = new(name, new FileInfo(path).Length, checksum, shard.First, shard.Count);
        }
        catch (SaeException e) { problem = e; }
    }

    /// <summary>Compares the copies of all ranks, and commits the checkpoint.</summary>
    /// <exception cref="SaeException">A rank could not write its file, or its copy of an array differs from that of
    /// rank 0. All ranks throw, and older checkpoints are unchanged.</exception>
    public override string Commit()
    {
        RankAgreement.Require(Ranks, problem);
        var bytes = Ranks.AllGather(own!.Bytes);
        var checksums = Ranks.AllGather(uint.Parse(own.Checksum, NumberStyles.HexNumber, CultureInfo.InvariantCulture));
        RequireEqualCopies();
        var path = CheckpointFolder.IndexPath(run, at.Step);
        RankAgreement.OnRoot(Ranks, () =>
        {
            var files = Enumerable.Range(0, shard.Ranks).Select(rank => new RankFile(
                $"{folder}/{RankFile.NameOf(rank, shard.Ranks)}", bytes[rank],
                ((uint)checksums[rank]).ToString("x8", CultureInfo.InvariantCulture), shard.FirstOf(rank),
                shard.FirstOf(rank + 1) - shard.FirstOf(rank))).ToArray();
            foreach (var file in files) RequireVisible(file);
            CheckpointIndex.Of(at.Step, files, Checkpoint.Metadata(backend, at)).Write(path);
            CheckpointRotation.Rotate(run, path, at.Fvu, backend.Config.KeepCheckpoints, backend.Config.KeepBest);
        });
        return path;
    }

    /// <summary>Compares the checksums on all ranks, which find the same difference.</summary>
    void RequireEqualCopies()
    {
        var all = new long[shard.Ranks * copies.Length];
        copySums.CopyTo(all, shard.Rank * copies.Length);
        Ranks.AllGather(all.AsSpan(), shard.EqualStarts(copies.Length));
        for (var place = copies.Length; place < all.Length; place++)
            if (all[place] != all[place % copies.Length])
                throw new SaeException($"step {at.Step}: array {copies[place % copies.Length].Name} of rank "
                    + $"{place / copies.Length} differs from that of rank 0, so this step is not saved; check that all "
                    + "ranks run the same program on the same rows, and resume from the last checkpoint",
                    kind: SaeErrorKind.Device);
    }

    void RequireVisible(RankFile file)
    {
        if (new FileInfo(Path.Combine(Checkpoints, file.Name)) is { Exists: true } there && there.Length == file.Bytes)
            return;
        throw new SaeException($"rank 0 does not find {Path.Combine(Checkpoints, file.Name)} with {file.Bytes} bytes; "
            + "the run's folder must be on a file system that all ranks share", kind: SaeErrorKind.Files);
    }
}
