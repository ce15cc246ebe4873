using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Formats;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Testing.Fuzz;

sealed partial class FuzzTargets
{
    /// <summary>The index of a checkpoint of three ranks, beside the files that it names: a changed index is refused,
    /// or holds what was written.</summary>
    FuzzTarget RankedCheckpoints()
    {
        const int Ranks = 3, Each = 2;
        var place = Path.Combine(folder.FullName, "checkpoint");
        var files = Enumerable.Range(0, Ranks).Select(rank =>
        {
            var name = $"step-000000012/{RankFile.NameOf(rank, Ranks)}";
            StateArray[] arrays = [new("w_enc", "F32", [Each, 4]), new("last_fired", "I32", [Each])];
            if (rank == 0) arrays = [.. arrays, new("b_dec", "F32", [4])];
            var checksum = CheckpointFile.Write(Path.Combine(place, name), arrays,
                (_, offset, into) => into.Fill((byte)(rank + offset)), new Dictionary<string, string>
                {
                    ["step"] = "12", [ShardInfo.Rank] = $"{rank}", [ShardInfo.Ranks] = $"{Ranks}",
                });
            return new RankFile(name, new FileInfo(Path.Combine(place, name)).Length, checksum, rank * Each, Each);
        }).ToArray();
        var path = Path.Combine(place, "step-000000012.index.json");
        CheckpointIndex.Of(12, files, new()
        {
            ["step"] = "12", ["epoch"] = "1", ["position"] = "4096", ["backend"] = "cpu", ["fvu"] = "0.25"
        }).Write(path);
        return new("checkpoint-index", [new(File.ReadAllBytes(path), JsonStructure.Mutate, Read)],
            Words("\"version\":", "\"ranks\":", "\"files\":", "\"first\":", "\"count\":", "\"checksum\":", "\"../\"",
                "null", "\"metadata\":", "2147483647", "step-000000012/"));

        void Read(byte[] bytes)
        {
            File.WriteAllBytes(path, bytes);
            using var file = RankedFile.OpenVerified(path);
            var at = Checkpoint.Position(file);
            var rows = new byte[Ranks * Each * 16];
            file.Read(file.Require("w_enc", "F32", Ranks * Each, 4), 0, rows);
            if (at.Step != 12 || at.Cursor.Position != 4096 || file.Metadata["fvu"] != "0.25"
                || Enumerable.Range(0, rows.Length).Any(i => rows[i] != i / (Each * 16)))
                throw new InvalidOperationException("a changed index was accepted");
        }
    }

    /// <summary>The index of a finished SAE in three pieces, likewise.</summary>
    FuzzTarget PiecesOfAnSae()
    {
        const int Ranks = 3, Each = 2;
        var place = Path.Combine(folder.FullName, "pieces");
        var pieces = Enumerable.Range(0, Ranks).Select(rank =>
        {
            var name = PieceFiles.NameOf(PieceFiles.Stem, rank, Ranks);
            var (bytes, checksum) = SafetensorsWriter.WriteSummed(Path.Combine(place, name),
                [TensorToWrite.Of("b_enc", [rank * Each, rank * Each + 1]), TensorToWrite.Of("b_dec", [7])],
                new Dictionary<string, string>
                {
                    [PiecedWeights.PieceKey] = $"{rank + 1}", [PiecedWeights.PiecesKey] = $"{Ranks}",
                });
            return new SaePiece(name, bytes, PieceIndex.Hex(checksum), rank * Each, Each);
        }).ToArray();
        var path = PieceFiles.IndexPath(place);
        PieceIndex.Of(pieces).Write(path);
        return new("sae-pieces", [new(File.ReadAllBytes(path), JsonStructure.Mutate, Read)],
            Words("\"version\":", "\"pieces\":", "\"name\":", "\"bytes\":", "\"first\":", "\"count\":",
                "\"checksum\":", "\"../\"", "null", "2147483647", "sae_weights-2"));

        void Read(byte[] bytes)
        {
            File.WriteAllBytes(path, bytes);
            using var file = new PiecedWeights(path);
            if (!file.Vector("b_enc", Ranks * Each).SequenceEqual([0, 1, 2, 3, 4, 5])
                || file.Vector("b_dec", 1)[0] != 7)
                throw new InvalidOperationException("a changed index was accepted");
        }
    }
}
