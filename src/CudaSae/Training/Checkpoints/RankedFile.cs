using System.Globalization;
using CudaSae.Files;

namespace CudaSae.Training.Checkpoints;

/// <summary>A checkpoint of several ranks as one file: its tensors have the rows of all latents, which are read from
/// the files that hold them. Arrays of which every rank had a copy are read from the file of rank 0.</summary>
sealed class RankedFile : JoinedFile
{
    readonly CheckpointIndex index;

    RankedFile(string path, CheckpointIndex index) : base(path, index.Ranks)
    {
        this.index = index;
        Open(OpenRank, Whole);
    }

    public override IReadOnlyDictionary<string, string> Metadata => index.Metadata;

    /// <summary>Opens a checkpoint by its index, and compares the index with all files and the checksums of a share of
    /// the tensors.</summary>
    /// <exception cref="DamagedCheckpointException">A file is missing, or is not the one that was written; names
    /// it.</exception>
    /// <exception cref="SaeException">The checkpoint is of a later version, or access is denied.</exception>
    public static RankedFile OpenVerified(string path, int share = 0, int shares = 1)
    {
        var file = new RankedFile(path, CheckpointIndex.Read(path));
        try
        {
            for (var rank = 0; rank < file.Files.Length; rank++)
                CheckpointFile.Verify(file.Files[rank], (share + rank) % shares, shares);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    SafetensorsFile OpenRank(int rank)
    {
        var entry = index.Files[rank];
        var path = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(Path)!, entry.Name);
        SafetensorsFile file;
        try { file = CheckpointFile.OpenHeader(path); }
        catch (DamagedCheckpointException) when (!File.Exists(path))
        {
            throw new DamagedCheckpointException(path, "it is missing");
        }
        if (Difference(file, rank) is not { } why) return file;
        file.Dispose();
        throw new DamagedCheckpointException(path, why);
    }

    /// <summary>Returns how a file differs from the one that the index names; null if it is that file.</summary>
    string? Difference(SafetensorsFile file, int rank)
    {
        var (of, ranks) = (file.Metadata.GetValueOrDefault(ShardInfo.Rank),
            file.Metadata.GetValueOrDefault(ShardInfo.Ranks));
        var step = file.Metadata.GetValueOrDefault("step");
        return of is null || ranks is null ? "it is not the file of a rank"
            : of != Text(rank) || ranks != Text(index.Ranks) ? $"it is the file of rank {of} of {ranks}"
            : step != Text(index.Step) ? $"it is of step {step}, and the checkpoint of step {index.Step}"
            : file.Metadata.GetValueOrDefault("checksum") != index.Files[rank].Checksum
                ? "it is not the file that was written for this checkpoint"
            : rank > 0 && file.Tensors.Values.FirstOrDefault(tensor => !IsPart(tensor, rank)) is { } other
                ? $"tensor {other.Name} does not have the rows of {index.Files[rank].Count} latents"
            : null;
    }

    static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    bool IsPart(StoredTensor tensor, int rank) =>
        Files[0].Tensors.TryGetValue(tensor.Name, out var first) && first.Type == tensor.Type
        && tensor.Shape.Length > 0 && tensor.Shape[0] == index.Files[rank].Count
        && first.Shape.Length > 0 && first.Shape[0] == index.Files[0].Count
        && tensor.Shape.AsSpan(1).SequenceEqual(first.Shape.AsSpan(1));

    /// <summary>Returns the tensor of all latents, or the tensor itself if rank 0 alone has it.</summary>
    StoredTensor Whole(StoredTensor first)
    {
        var holders = Files.Count(file => file.Tensors.ContainsKey(first.Name));
        if (holders == 1) return first with { Offset = 0 };
        if (holders < Files.Length)
            throw new DamagedCheckpointException(
                Files.First(file => !file.Tensors.ContainsKey(first.Name)).Path, $"it holds no tensor {first.Name}");
        var latents = (long)index.Files[^1].First + index.Files[^1].Count;
        return first with
        {
            Offset = 0,
            Shape = [latents, .. first.Shape[1..]],
            Bytes = first.Bytes / first.Shape[0] * latents,
        };
    }

    protected override (SafetensorsFile File, StoredTensor Tensor, long Offset, long Bytes) Find(StoredTensor tensor,
        long offset)
    {
        if (!Files[1].Tensors.ContainsKey(tensor.Name))
            return (Files[0], Files[0].Tensors[tensor.Name], offset, tensor.Bytes - offset);
        var row = tensor.Bytes / tensor.Shape[0];
        var rank = 0;
        while (offset >= End(index.Files[rank])) rank++;
        return (Files[rank], Files[rank].Tensors[tensor.Name], offset - index.Files[rank].First * row,
            End(index.Files[rank]) - offset);

        long End(RankFile file) => (file.First + (long)file.Count) * row;
    }

    protected internal override SaeException Bad(string why) => new($"{Path} is not a usable checkpoint: {why}");
}
