using System.Globalization;
using System.Text;
using System.Text.Json;
using CudaSae.Files;
using CudaSae.Files.Zip;
using CudaSae.Text;

namespace CudaSae.Training.Checkpoints;

/// <summary>One rank's file of a checkpoint.</summary>
/// <param name="Name">Its folder and name below checkpoint/, separated by a slash.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Checksum">The checksum in its header. It covers the checksums of the tensors.</param>
/// <param name="First">The first latent of the rank.</param>
/// <param name="Count">Number of latents of the rank.</param>
sealed record RankFile(string Name, long Bytes, string Checksum, int First, int Count)
{
    /// <summary>The folder of the file, below checkpoint/.</summary>
    internal string Folder => Name.Split('/')[0];

    /// <summary>The name of a rank's file.</summary>
    public static string NameOf(int rank, int ranks) => $"rank-{rank:D5}-of-{ranks:D5}.safetensors";
}

/// <summary>The index of a checkpoint of several ranks, checkpoint/step-N.index.json. The checkpoint exists from the
/// moment at which this file gets its name.</summary>
/// <param name="Files">The files in the order of the ranks.</param>
/// <param name="Metadata">The metadata of a checkpoint in one file (<see cref="CheckpointFile"/>), without
/// checksums.</param>
/// <param name="Checksum">CRC-32 of the other fields.</param>
sealed record CheckpointIndex(int Version, long Step, int Ranks, RankFile[] Files, Dictionary<string, string> Metadata,
    string Checksum = "")
{
    const int Latest = 1;

    /// <summary>Makes an index with its checksum.</summary>
    public static CheckpointIndex Of(long step, RankFile[] files, Dictionary<string, string> metadata)
    {
        var index = new CheckpointIndex(Latest, step, files.Length, files, metadata);
        return index with { Checksum = index.Crc() };
    }

    public void Write(string path) =>
        AtomicFile.WriteText(path, JsonSerializer.Serialize(this, CheckpointJson.Indented.CheckpointIndex) + "\n");

    /// <summary>Reads an index and compares its checksum.</summary>
    /// <exception cref="DamagedCheckpointException">The index is missing, or differs from the one that was
    /// written.</exception>
    /// <exception cref="SaeException">The index is of a later version, or access is denied.</exception>
    public static CheckpointIndex Read(string path)
    {
        byte[] json;
        try { json = File.ReadAllBytes(path); }
        catch (UnauthorizedAccessException e)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
        }
        catch (IOException e) { throw new DamagedCheckpointException(path, e.Message.TrimEnd('.')); }
        var index = JsonRecord.Read(json, CheckpointJson.Compact.CheckpointIndex,
            (why, _) => new DamagedCheckpointException(path, why));
        if (index.Checksum != index.Crc()) throw new DamagedCheckpointException(path, "it differs from its checksum");
        if (index.Version != Latest)
            throw new SaeException($"{path} is a checkpoint's index of version {index.Version}, but this program reads "
                + $"versions up to {Latest}; use the program that wrote it");
        index.Check(path);
        return index;
    }

    /// <summary>Requires that the files have the names of their ranks, and that each latent is in one file.</summary>
    void Check(string path)
    {
        if (Files.Length != Ranks || Ranks < 2)
            throw new DamagedCheckpointException(path, $"it names {Files.Length} files of {Ranks} ranks");
        var next = 0L;
        for (var rank = 0; rank < Ranks; rank++)
        {
            var (file, expected) = (Files[rank], RankFile.NameOf(rank, Ranks));
            if (!RankFolders.IsName(file.Folder) || file.Name != $"{file.Folder}/{expected}")
                throw new DamagedCheckpointException(path, $"it names {file.Name} in the place of {expected}");
            if (file.Count < 1 || file.First != next)
                throw new DamagedCheckpointException(path, file.First < next
                    ? $"{file.Name} and a file before it both hold latent {file.First}"
                    : $"no file before {file.Name} holds latent {next}");
            next += file.Count;
        }
    }

    /// <summary>Returns the CRC-32 of the index as text: the lines version=, step= and ranks=, a line key=value for
    /// each entry of the metadata in the order of the names, and a line for each file.</summary>
    string Crc()
    {
        var text = new StringBuilder().Append(CultureInfo.InvariantCulture,
            $"version={Version}\nstep={Step}\nranks={Ranks}\n");
        foreach (var (key, value) in Metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
            text.Append(key).Append('=').Append(value).Append('\n');
        foreach (var file in Files)
            text.Append(CultureInfo.InvariantCulture,
                $"{file.Name} {file.Bytes} {file.Checksum} {file.First} {file.Count}\n");
        return Crc32.Append(0, Encoding.UTF8.GetBytes(text.ToString())).ToString("x8", CultureInfo.InvariantCulture);
    }
}
