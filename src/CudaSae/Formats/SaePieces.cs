using System.Globalization;
using CudaSae.Distributed;
using CudaSae.Files;

namespace CudaSae.Formats;

/// <summary>Writes the weights of a finished SAE in pieces. Each rank writes the tensors of its own latents to a file
/// of a new name. Rank 0 then writes the index, and the rename that gives the index its name commits the SAE. Until
/// then, an SAE that the folder held, as one file or in pieces, is unchanged.</summary>
static class SaePieces
{
    /// <summary>Writes the pieces and the index. All ranks call it.</summary>
    /// <param name="tensors">The tensors of the rank's own latents.</param>
    /// <exception cref="SaeException">A rank cannot write its piece, or rank 0 cannot write the index. All ranks
    /// throw.</exception>
    public static void Write(string folder, IEnumerable<TensorToWrite> tensors, ShardPlan shard)
    {
        var (ranks, stem) = (shard.Collective, "");
        RankAgreement.OnRoot(ranks, () => stem = PieceFiles.NewStem(folder));
        stem = ranks.Broadcast(stem, 0);
        SaePiece? own = null;
        try
        {
            RankAgreement.Do(ranks, () => own = WriteOwn(folder, stem, tensors, shard));
        }
        catch (SaeException)
        {
            RemoveOwn(folder, own);     // no index names it: rank 0 has not had the checksums of all ranks
            throw;
        }
        var pieces = Gather(own!, stem, shard);
        RankAgreement.OnRoot(ranks, () =>
        {
            RequireVisible(folder, pieces);
            PieceIndex.Of(pieces).Write(PieceFiles.IndexPath(folder));
            PieceFiles.RemovePieces(folder, except: [stem]);
        });
    }

    static SaePiece WriteOwn(string folder, string stem, IEnumerable<TensorToWrite> tensors, ShardPlan shard)
    {
        var name = PieceFiles.NameOf(stem, shard.Rank, shard.Ranks);
        var (bytes, checksum) = SafetensorsWriter.WriteSummed(Path.Combine(folder, name), tensors,
            new Dictionary<string, string>
            {
                [PiecedWeights.PieceKey] = Text(shard.Rank + 1),
                [PiecedWeights.PiecesKey] = Text(shard.Ranks),
                [PiecedWeights.FirstKey] = Text(shard.First),
                [PiecedWeights.LatentsKey] = Text(shard.Count),
            });
        return new(name, bytes, PieceIndex.Hex(checksum), shard.First, shard.Count);
    }

    static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>Returns the pieces of all ranks, on every rank.</summary>
    static SaePiece[] Gather(SaePiece own, string stem, ShardPlan shard)
    {
        var bytes = shard.Collective.AllGather(own.Bytes);
        var checksums = shard.Collective.AllGather(
            uint.Parse(own.Checksum, NumberStyles.HexNumber, CultureInfo.InvariantCulture));
        return [.. Enumerable.Range(0, shard.Ranks).Select(rank => new SaePiece(
            PieceFiles.NameOf(stem, rank, shard.Ranks), bytes[rank], PieceIndex.Hex((uint)checksums[rank]),
            shard.FirstOf(rank), shard.FirstOf(rank + 1) - shard.FirstOf(rank)))];
    }

    static void RequireVisible(string folder, SaePiece[] pieces)
    {
        foreach (var piece in pieces)
            if (new FileInfo(Path.Combine(folder, piece.Name)) is not { Exists: true } there
                || there.Length != piece.Bytes)
                throw new SaeException($"rank 0 does not find {Path.Combine(folder, piece.Name)} with {piece.Bytes} "
                    + "bytes; the run's folder must be on a file system that all ranks share",
                    kind: SaeErrorKind.Files);
    }

    /// <summary>Removes this rank's piece after an error. The error counts, so a failure here is ignored.</summary>
    static void RemoveOwn(string folder, SaePiece? own)
    {
        if (own is null) return;
        try { AtomicFile.Delete(Path.Combine(folder, own.Name)); }
        catch (SaeException) { }
    }
}
