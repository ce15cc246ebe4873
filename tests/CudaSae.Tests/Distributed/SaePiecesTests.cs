using System.Text;
using CudaSae.Files.Zip;
using static CudaSae.Tests.SaePieceFolder;

namespace CudaSae.Tests;

/// <summary>Finished SAEs in pieces: a kill at any moment leaves the older SAE or the new one, and what is not whole is
/// refused.</summary>
public class SaePiecesTests
{
    public static TheoryData<int, int> Replacements => new()
    {
        { 1, 3 }, { 3, 1 }, { 3, 3 }, { 3, 2 }, { 2, 3 }, { 2, 2 }, { 2, 1 }, { 1, 1 },
    };

    /// <summary>An SAE replaces another one of either form. Every state between two changes of the folder holds one of
    /// the two.</summary>
    [Theory, MemberData(nameof(Replacements))]
    public void AReplacementThatIsKilledLeavesTheOldSaeOrTheNewOne(int before, int after)
    {
        using var folder = new TemporaryFolder();
        using var old = RandomSae(1);
        using var now = RandomSae(2);
        Write(folder["old"], old, before);
        Copy(folder["old"], folder["new"]);
        Write(folder["new"], now, after);
        var stem = before > 1 && after > 1 ? "sae_weights-2" : "sae_weights";
        AssertFiles(folder["new"], after, stem);
        AssertHolds(folder, folder["new"], now);

        // The new weights are there, and the change that commits them is not.
        Copy(folder["old"], folder["uncommitted"]);
        if (before > 1 || after > 1)
            Copy(folder["new"], folder["uncommitted"], name => name is not (IndexName or "cfg.json"));
        AssertHolds(folder, folder["uncommitted"], old);

        // The commit is there, and files of the old SAE are not removed yet.
        Copy(folder["old"], folder["committed"], name => after > 1 || name != IndexName);
        Copy(folder["new"], folder["committed"]);
        AssertHolds(folder, folder["committed"], now);

        foreach (var state in new[] { "uncommitted", "committed" })
            foreach (var ranks in new[] { 1, 3 })
            {
                var again = folder[$"{state}-{ranks}"];
                Copy(folder[state], again);
                Write(again, now, ranks);
                Assert.Equal(ranks == 1 ? 2 : ranks + 2, Names(again).Length);
                AssertHolds(folder, again, now);
            }
    }

    [Fact]
    public void PiecesOfAKilledSaveAreReplacedAndRemoved()
    {
        using var folder = new TemporaryFolder();
        using var model = RandomSae(1);
        Write(folder["sae"], model, 2);
        foreach (var name in new[] { Piece(2, 4), Piece(1, 2, "sae_weights-2"), Piece(2, 2, "sae_weights-2") + ".tmp" })
            File.WriteAllText(folder[$"sae/{name}"], "part");
        File.WriteAllText(folder["sae/sae_weights-notes.txt"], "mine");
        Write(folder["sae"], model, 2);
        File.Delete(folder["sae/sae_weights-notes.txt"]);
        AssertFiles(folder["sae"], 2, "sae_weights-2");
        File.Delete(folder["sae/" + IndexName]);
        Assert.Null(SaeFormats.Recognize(folder["sae"]));
        Write(folder["sae"], model, 3);
        AssertFiles(folder["sae"], 3);
        AssertHolds(folder, folder["sae"], model);
    }

    /// <summary>A piece is readable as an SAE of its latents.</summary>
    [Fact]
    public void APieceHasTheNamesAndLayoutsOfSaeLens()
    {
        using var folder = new TemporaryFolder();
        using var model = RandomSae(1, "topk");
        Write(folder["sae"], model, 3);
        var next = 0;
        for (var place = 1; place <= 3; place++)
        {
            using var file = new SafetensorsFile(folder["sae/" + Piece(place, 3)]);
            var count = (int)file.Tensors["W_dec"].Shape[0];
            Assert.Equal(["W_dec", "W_enc", "b_dec", "b_enc"], file.Tensors.Keys.Order(StringComparer.Ordinal));
            Assert.Equal(($"{next}", $"{count}"), (file.Metadata["first_latent"], file.Metadata["latents"]));
            using var encoder = new Numerics.Matrix(count, FormatModels.D);
            file.Matrix("W_enc", encoder, transposed: true);
            for (var f = 0; f < count; f++)
                Assert.True(encoder[f].SequenceEqual(model.Parameters.WEnc[next + f]));
            Assert.Equal(model.Parameters.BDec, file.Vector("b_dec", FormatModels.D));
            next += count;
        }
        Assert.Equal(FormatModels.N, next);
    }

    [Theory]
    [InlineData("missing", @"00002-of-00003\.safetensors is damaged: it is missing")]
    [InlineData("short", @"00002-of-00003\.safetensors is damaged: it has 100 bytes, and \d+ were written")]
    [InlineData("byte", @"00002-of-00003\.safetensors is damaged: it differs from its checksum")]
    [InlineData("other", @"00002-of-00003\.safetensors is damaged: it differs from its checksum")]
    [InlineData("swapped", @"00002-of-00003\.safetensors is damaged: it is piece 3 of 3")]
    [InlineData("not a piece", @"00002-of-00003\.safetensors is damaged: it is not a piece of an SAE")]
    [InlineData("index", @"index\.json is damaged: it differs from its checksum")]
    [InlineData("index cut", @"index\.json is damaged: ")]
    [InlineData("index empty", @"index\.json is damaged: it is empty")]
    [InlineData("version", @"index\.json is an SAE's index of version 2, but this program reads versions up to 1")]
    [InlineData("doubled", @"index\.json is damaged: it names \S+00001-of-00003\S+ in the place of \S+00002-of-00003")]
    [InlineData("overlap", @"index\.json is damaged: \S+00002\S+ and a piece before it both hold latent 0")]
    [InlineData("gap", @"index\.json is damaged: no piece before \S+00003-of-00003\.safetensors holds latent \d+")]
    [InlineData("cut", @"index\.json is damaged: it names sae_weights-00001-of-00003\S+ in the place of \S+1-of-00002")]
    [InlineData("path", @"index\.json is damaged: it names \.\./sae_weights")]
    [InlineData("counts", @"00001-of-00003\.safetensors is damaged: it does not hold tensor \S+ of 1 latents")]
    public void WhatIsNotWholeIsRefusedAndAFileBesideItDoesNotCount(string damage, string expected)
    {
        using var folder = new TemporaryFolder();
        using var model = RandomSae(1);
        model.Save(folder["one"]);
        Write(folder["sae"], model, 3);
        Damage(folder, damage);
        AssertOneLine(expected, () => SaeModel.Load(folder["sae"]).Dispose());
        File.Copy(folder["one/sae_weights.safetensors"], folder["sae/sae_weights.safetensors"]);
        AssertOneLine(expected, () => SaeModel.Load(folder["sae"]).Dispose());
        Write(folder["sae"], model, 3);
        Assert.Equal(5, Names(folder["sae"]).Length);
        AssertHolds(folder, folder["sae"], model);
    }

    static void Damage(TemporaryFolder folder, string damage)
    {
        var (piece, index) = (folder["sae/" + Piece(2, 3)], folder["sae/" + IndexName]);
        var bytes = File.ReadAllBytes(piece);
        switch (damage)
        {
            case "missing": File.Delete(piece); break;
            case "short": File.WriteAllBytes(piece, bytes[..100]); break;
            case "byte":
                bytes[^3] ^= 1;
                File.WriteAllBytes(piece, bytes);
                break;
            case "other":
                using (var model = RandomSae(2)) Write(folder["other"], model, 3);
                File.Copy(folder["other/" + Piece(2, 3)], piece, overwrite: true);
                break;
            case "swapped": File.Copy(folder["sae/" + Piece(3, 3)], piece, overwrite: true); break;
            case "not a piece":
                SafetensorsWriter.Write(piece, [new("x", "U8", [bytes.Length - 72], s => s.Write(bytes.AsSpan(72)))]);
                Assert.Equal(bytes.Length, new FileInfo(piece).Length);
                break;
            case "index":
                File.WriteAllText(index, File.ReadAllText(index).Replace("\"first\": 0", "\"first\": 1"));
                break;
            case "index cut": File.WriteAllText(index, File.ReadAllText(index)[..90]); break;
            case "index empty": File.WriteAllText(index, ""); break;
            case "version":
                var pieces = PieceIndex.Read(index).Pieces;
                var lines = string.Concat(pieces.Select(p => $"{p.Name} {p.Bytes} {p.Checksum} {p.First} {p.Count}\n"));
                var crc = Crc32.Append(0, Encoding.UTF8.GetBytes($"version=2\n{lines}"));
                new PieceIndex(2, pieces, PieceIndex.Hex(crc)).Write(index);
                break;
            default: PieceIndex.Of(Wrong(PieceIndex.Read(index).Pieces, damage)).Write(index); break;
        }
    }

    static SaePiece[] Wrong(SaePiece[] pieces, string how) => how switch
    {
        "doubled" => [pieces[0], pieces[0], pieces[2]],
        "overlap" => [pieces[0], pieces[1] with { First = 0 }, pieces[2]],
        "gap" => [pieces[0], pieces[1] with { Count = 1 }, pieces[2]],
        "cut" => pieces[..2],
        "path" => [pieces[0] with { Name = "../" + pieces[0].Name }, .. pieces[1..]],
        "counts" =>
            [pieces[0] with { Count = 1 }, pieces[1] with { First = 1, Count = pieces[2].First - 1 }, pieces[2]],
        _ => throw new ArgumentException(how),
    };

    /// <summary>A rank that cannot write its piece makes the save fail on all ranks. The SAE that was there counts, and
    /// pieces of the failed save do not stay.</summary>
    [Theory, InlineData(1), InlineData(2), InlineData(3)]
    public void ARankThatCannotWriteStopsAllRanksAndTheOldSaeStays(int before)
    {
        using var folder = new TemporaryFolder();
        using var old = RandomSae(1);
        using var now = RandomSae(2);
        Write(folder["sae"], old, before);
        var files = Names(folder["sae"]);
        var blocked = folder["sae/" + Piece(2, 3, before > 1 ? "sae_weights-2" : "sae_weights") + ".tmp"];
        Directory.CreateDirectory(blocked);
        var messages = RankThreads.Run(3, collective => Assert.Throws<SaeException>(
            () => { WriteOwn(folder["sae"], now, collective); }).Message);
        Assert.StartsWith("rank 1: cannot write", messages[0]);
        Assert.StartsWith("cannot write", messages[1]);
        Assert.StartsWith("rank 1: cannot write", messages[2]);
        AssertHolds(folder, folder["sae"], old);
        Directory.Delete(blocked);
        Assert.Equal(files, Names(folder["sae"]));
        Write(folder["sae"], now, 3);
        AssertHolds(folder, folder["sae"], now);
    }

    [Fact]
    public void PiecesInAFolderThatRank0DoesNotSeeAreRefused()
    {
        using var folder = new TemporaryFolder();
        using var model = RandomSae(1);
        var messages = RankThreads.Run(2, collective => Assert.Throws<SaeException>(
            () => { WriteOwn(folder[$"node{collective.Rank}"], model, collective); }).Message);
        Assert.Matches($"does not find .*{Piece(2, 2)} with [0-9]+ bytes; .*file system that all ranks share",
            messages[0]);
        Assert.Null(SaeFormats.Recognize(folder["node0"]));
    }

    [Fact]
    public void AnSaeIsCompleteIfItsIndexAndAllPiecesAreThere()
    {
        using var folder = new TemporaryFolder();
        using var model = RandomSae(1);
        var begun = DateTime.UtcNow.AddMinutes(-1);
        Write(folder["sae"], model, 2);
        Assert.True(SaeLensFormat.IsWrittenSince(folder["sae"], begun));
        Assert.False(SaeLensFormat.IsWrittenSince(folder["sae"], DateTime.UtcNow.AddMinutes(1)));
        Assert.False(SaeLensFormat.IsWrittenSince(folder["none"], begun));
        model.Save(folder["one"]);
        File.Copy(folder["one/sae_weights.safetensors"], folder["sae/sae_weights.safetensors"]);
        File.SetLastWriteTimeUtc(folder["sae/" + IndexName], begun.AddMinutes(-1));     // the file does not count
        Assert.False(SaeLensFormat.IsWrittenSince(folder["sae"], begun));
        File.SetLastWriteTimeUtc(folder["sae/" + IndexName], begun);
        Assert.True(SaeLensFormat.IsWrittenSince(folder["sae"], begun));
        File.Delete(folder["sae/" + Piece(2, 2)]);
        Assert.False(SaeLensFormat.IsWrittenSince(folder["sae"], begun));
        Assert.True(SaeLensFormat.IsWrittenSince(folder["one"], begun));
    }
}
