using System.Globalization;
using CudaSae.Numerics;
using System.Text.Json.Nodes;
using CudaSae.Training.Checkpoints;
using static CudaSae.Tests.RankCheckpoints;

namespace CudaSae.Tests;

/// <summary>Checkpoints of several ranks: any number of ranks restores them, and what is not whole is not
/// used.</summary>
public class RankCheckpointTests
{
    static string Rank(int step, int rank, int ranks) => $"step-{step:D9}/rank-{rank:D5}-of-{ranks:D5}.safetensors";

    [Theory, InlineData(1), InlineData(2), InlineData(3), InlineData(4)]
    public void ACheckpointRestoresOnAnyNumberOfRanks(int saved)
    {
        using var folder = new TemporaryFolder();
        Save(folder["run"], saved, 7);
        Assert.Equal(saved == 1 ? ["step-000000007.safetensors"]
            : [.. new[] { "step-000000007.index.json" }.Concat(Enumerable.Range(0, saved)
                .Select(rank => Rank(7, rank, saved))).Order(StringComparer.Ordinal)], Names(folder["run"]));
        for (var ranks = 1; ranks <= 4; ranks++) Assert.Empty(Restore(folder["run"], ranks, 7));
    }

    [Fact]
    public void AGroupOfOneRankWritesTheFileOfASingleProcess()
    {
        using var folder = new TemporaryFolder();
        Save(folder["single"], 1, 7, 0.5);
        RankThreads.Run(1, collective =>
        {
            using var backend = new Backends.Cpu.CpuBackend(Spec, Config, InputType.Float32, 1, new(collective, Spec));
            Fill(backend, 7);
            Checkpoint.Save(folder["group"], backend, new(7, new(1, 2), null, 0.5));
        });
        Assert.Equal(Names(folder["single"]), Names(folder["group"]));
        Assert.Equal(File.ReadAllBytes(folder["single/checkpoint/step-000000007.safetensors"]),
            File.ReadAllBytes(folder["group/checkpoint/step-000000007.safetensors"]));
    }

    [Fact]
    public void FilesStateTheirPlaceInTheWordsOfPyTorch()
    {
        using var folder = new TemporaryFolder();
        Save(folder["run"], 3, 7);
        var next = 0L;
        for (var rank = 0; rank < 3; rank++)
        {
            using var file = new SafetensorsFile(folder["run/checkpoint/" + Rank(7, rank, 3)]);
            var info = JsonNode.Parse(file.Metadata["DCP_SHARDING_INFO"])!.AsObject();
            Assert.Equal(file.Tensors.Keys.Order(), info.Select(pair => pair.Key).Order());
            Assert.Equal([next, 0], info["w_enc"]!["saved_offsets"]!.AsArray().Select(n => (long)n!));
            Assert.Equal([100, 32], JsonNode.Parse(file.Metadata["global_shapes"])!["w_enc"]!.AsArray()
                .Select(n => (long)n!));
            Assert.Equal(rank == 0, file.Tensors.ContainsKey("b_dec"));
            next += file.Tensors["w_enc"].Shape[0];
        }
        Assert.Equal(100, next);
    }

    public static TheoryData<string, string> Damages => new()
    {
        { "missing", @"rank-00001-of-00003\.safetensors is damaged: it is missing" },
        { "swapped", @"rank-00001-of-00003\.safetensors is damaged: it is the file of rank 2 of 3" },
        { "older", @"rank-00001-of-00003\.safetensors is damaged: it is of step 1, and the checkpoint of step 2" },
        { "other", @"rank-00001-of-00003\.safetensors is damaged: it is not the file that was written for this" },
        { "other ranks", @"rank-00001-of-00003\.safetensors is damaged: it is the file of rank 1 of 4" },
        { "byte", @"rank-00001-of-00003\.safetensors is damaged: tensor \w+ differs from its checksum" },
        { "short", @"rank-00001-of-00003\.safetensors is damaged: .*(truncated|claims)" },
        { "index", @"step-000000002\.index\.json is damaged: it differs from its checksum" },
        { "index cut", @"step-000000002\.index\.json is damaged: " },
        { "doubled", @"index\.json is damaged: .*rank-00001.* and a file before it both hold latent 0" },
    };

    [Theory, MemberData(nameof(Damages))]
    public void WhatIsNotWholeIsRefusedOrTheOlderCheckpointIsUsed(string damage, string expected)
    {
        using var folder = new TemporaryFolder();
        Save(folder["run"], 3, 1);
        Save(folder["run"], 3, 2);
        Damage(folder, damage);
        foreach (var ranks in new[] { 1, 2, 3 })
            AssertOneLine($"{expected}.*step-000000001.index.json is whole",
                () => Restore(folder["run"], ranks, 1, refuse: true));
        var note = Assert.Single(Restore(folder["run"], 2, 1));
        Assert.Matches(expected, note);
        Assert.EndsWith("its index is now step-000000002.index.json.damaged, and the run resumes from "
            + "step-000000001.index.json, step 1", note);
        Assert.DoesNotContain("step-000000002.index.json", Names(folder["run"]));
        Assert.Contains(Names(folder["run"]),
            name => name.StartsWith("step-000000002.damaged/", StringComparison.Ordinal));
        Assert.Empty(Restore(folder["run"], 3, 1));
        Save(folder["run"], 2, 2);
        Assert.Empty(Restore(folder["run"], 4, 2));
    }

    static void Damage(TemporaryFolder folder, string damage)
    {
        string At(string name) => folder["run/checkpoint/" + name];
        var (file, index) = (At(Rank(2, 1, 3)), At("step-000000002.index.json"));
        switch (damage)
        {
            case "missing": File.Delete(file); break;
            case "swapped": File.Copy(At(Rank(2, 2, 3)), file, overwrite: true); break;
            case "older": File.Copy(At(Rank(1, 1, 3)), file, overwrite: true); break;
            case "other":
                RankThreads.Run(3, collective =>
                {
                    using var backend = Backend(collective);
                    Fill(backend, 3);
                    Checkpoint.Save(folder["other"], backend, new(2, default));
                });
                File.Copy(folder["other/checkpoint/" + Rank(2, 1, 3)], file, overwrite: true);
                break;
            case "other ranks":
                Save(folder["other"], 4, 2);
                File.Copy(folder["other/checkpoint/" + Rank(2, 1, 4)], file, overwrite: true);
                break;
            case "byte": Change(file, bytes => bytes[^1] ^= 1); break;
            case "short": File.WriteAllBytes(file, File.ReadAllBytes(file)[..^1]); break;
            case "index":
                File.WriteAllText(index,
                    File.ReadAllText(index).Replace("\"position\": \"2\"", "\"position\": \"3\""));
                break;
            case "index cut": File.WriteAllBytes(index, File.ReadAllBytes(index)[..^9]); break;
            default:
                var old = CheckpointIndex.Read(index);
                CheckpointIndex.Of(2, [old.Files[0], old.Files[1] with { First = 0 }, old.Files[2]], old.Metadata)
                    .Write(index);
                break;
        }
    }

    static void Change(string path, Action<byte[]> change)
    {
        var bytes = File.ReadAllBytes(path);
        change(bytes);
        File.WriteAllBytes(path, bytes);
    }

    /// <summary>Ranks compare different tensors, and all of them refuse what one rank finds.</summary>
    [Fact]
    public void ADamagedByteInAnyTensorOfAnyRankIsDetected()
    {
        using var folder = new TemporaryFolder();
        Save(folder["run"], 3, 1);
        for (var rank = 0; rank < 3; rank++)
        {
            var path = folder["run/checkpoint/" + Rank(1, rank, 3)];
            var good = File.ReadAllBytes(path);
            StoredTensor[] tensors;
            using (var file = new SafetensorsFile(path)) tensors = [.. file.Tensors.Values];
            foreach (var tensor in tensors)
            {
                Change(path, bytes => bytes[tensor.Offset + tensor.Bytes / 2] ^= 1);
                AssertOneLine($"{Rank(1, rank, 3)} is damaged: tensor {tensor.Name} differs",
                    () => Restore(folder["run"], 2, 1));
                File.WriteAllBytes(path, good);
            }
        }
        Assert.Empty(Restore(folder["run"], 2, 1));
    }

    [Fact]
    public void WithoutAWholeCheckpointARunIsRefusedAndNothingIsRenamed()
    {
        using var folder = new TemporaryFolder();
        Save(folder["run"], 2, 1);
        var file = folder["run/checkpoint/" + Rank(1, 1, 2)];
        Change(file, bytes => bytes[^1] ^= 1);
        var names = Names(folder["run"]);
        foreach (var ranks in new[] { 1, 3 })
            AssertOneLine("rank-00001.* is damaged: .*no older checkpoint is whole",
                () => Restore(folder["run"], ranks, 1));
        Assert.Equal(names, Names(folder["run"]));
    }

    [Fact]
    public void ACheckpointThatWasNotCommittedIsIgnoredAndRemoved()
    {
        using var folder = new TemporaryFolder();
        Save(folder["run"], 3, 1);
        Save(folder["run"], 3, 2);
        File.Delete(folder["run/checkpoint/step-000000002.index.json"]);       // as before the commit
        File.WriteAllText(folder["run/checkpoint/step-000000002/rank-00001-of-00003.safetensors.tmp"], "cut");
        Assert.Empty(Restore(folder["run"], 2, 1));
        Save(folder["run"], 2, 3);
        Assert.Equal(
        [
            "step-000000001.index.json", Rank(1, 0, 3), Rank(1, 1, 3), Rank(1, 2, 3),
            "step-000000003.index.json", Rank(3, 0, 2), Rank(3, 1, 2),
        ], Names(folder["run"]));
        Assert.False(Directory.Exists(folder["run/checkpoint/step-000000002"]));
    }

    [Fact]
    public void NewestAndBestCheckpointsAreKeptInBothForms()
    {
        using var folder = new TemporaryFolder();
        Save(folder["run"], 2, 1, 0.5);
        Save(folder["run"], 3, 2, 0.2);
        Save(folder["run"], 2, 3, 0.4);
        Save(folder["run"], 4, 4, 0.3);
        Assert.Equal(["best.index.json", "step-000000003.index.json", "step-000000004.index.json"], Files());
        Assert.Equal([2, 3, 4], Folders());
        Save(folder["run"], 1, 5, 0.1);
        Assert.Equal(["best.safetensors", "step-000000004.index.json", "step-000000005.safetensors"], Files());
        Assert.Equal([4], Folders());
        Save(folder["run"], 2, 6, 0.05);
        Save(folder["run"], 2, 7, 0.3);
        Save(folder["run"], 2, 8, 0.3);
        Assert.Equal(["best.index.json", "step-000000007.index.json", "step-000000008.index.json"], Files());
        Assert.Equal([6, 7, 8], Folders());
        foreach (var step in new[] { 7, 8 }) File.Delete(folder["run/checkpoint/" + Rank(step, 0, 2)]);
        Assert.Equal(2, Restore(folder["run"], 3, 6)
            .Count(note => note.EndsWith("resumes from best.index.json, step 6", StringComparison.Ordinal)));

        string[] Files() => [.. Names(folder["run"]).Where(name => !name.Contains('/'))];
        int[] Folders() => [.. Directory.GetDirectories(folder["run/checkpoint"]).Order(StringComparer.Ordinal)
            .Select(path => int.Parse(Path.GetFileName(path)[5..], CultureInfo.InvariantCulture))];
    }

    /// <summary>A step that is written again, in this or the other form, replaces the older checkpoint of this step.
    /// The files of the older one are unchanged until the commit.</summary>
    [Fact]
    public void AStepCanBeWrittenAgain()
    {
        using var folder = new TemporaryFolder();
        foreach (var ranks in new[] { 3, 3, 2, 1, 2, 2 })
        {
            Save(folder["run"], ranks, 5, 0.5);
            Assert.Empty(Restore(folder["run"], 2, 5));
            Assert.Single(Names(folder["run"]), name => name.StartsWith("step-000000005.", StringComparison.Ordinal));
        }
        var files = Names(folder["run"]);
        var next = files.Any(name => name.Contains("-2/")) ? "step-000000005" : "step-000000005-2";
        Directory.CreateDirectory(folder[$"run/checkpoint/{next}/rank-00001-of-00002.safetensors.tmp"]);
        AssertOneLine("cannot write", () => Save(folder["run"], 2, 5));
        Assert.Empty(Restore(folder["run"], 3, 5));
        Assert.Equal(files, Names(folder["run"]).Where(name => !name.StartsWith(next + "/", StringComparison.Ordinal)));
    }

    [Fact]
    public void CopiesThatDifferAreRefusedByName()
    {
        using var folder = new TemporaryFolder();
        Save(folder["run"], 3, 1);
        var names = Names(folder["run"]);
        var messages = RankThreads.Run(3, collective =>
        {
            using var backend = Backend(collective);
            Fill(backend, 2);
            if (collective.Rank == 2)
                backend.WriteState(backend.State.Single(array => array.Name == "ema_b_dec"), 4, [77, 78]);
            return Assert.Throws<SaeException>(() => Checkpoint.Save(folder["run"], backend, new(2, default))).Message;
        });
        Assert.All(messages, message =>
            Assert.StartsWith("step 2: array ema_b_dec of rank 2 differs from that of rank 0", message));
        Assert.Empty(Restore(folder["run"], 3, 1));
        Save(folder["run"], 3, 3);
        Assert.Equal(names, Names(folder["run"]).Where(name => !name.Contains("3.index") && !name.Contains("3/")));
    }

    [Fact]
    public void ARankThatCannotWriteStopsAllRanksAndTheOlderCheckpointStays()
    {
        using var folder = new TemporaryFolder();
        Save(folder["run"], 3, 1);
        Directory.CreateDirectory(folder["run/checkpoint/" + Rank(2, 1, 3) + ".tmp"]);
        var messages = RankThreads.Run(3, collective =>
        {
            using var backend = Backend(collective);
            Fill(backend, 2);
            return Assert.Throws<SaeException>(() => Checkpoint.Save(folder["run"], backend, new(2, default))).Message;
        });
        Assert.StartsWith("rank 1: cannot write", messages[0]);
        Assert.StartsWith("cannot write", messages[1]);
        Assert.StartsWith("rank 1: cannot write", messages[2]);
        Assert.Empty(Restore(folder["run"], 2, 1));
    }

    [Theory, InlineData(true), InlineData(false)]
    public void TheBackgroundWritesTheStateOfItsOwnStep(bool background)
    {
        using var folder = new TemporaryFolder();
        var config = Config with { CheckpointEvery = 1, AsyncCheckpoints = background };
        RankThreads.Run(3, collective =>
        {
            using var backend = Backend(collective, config);
            var saved = new List<string>();
            using var writer = new CheckpointWriter(folder["run"], backend, saved.Add, _ => { });
            Assert.Equal(background, writer.InBackground);
            for (var step = 1; step <= 4; step++)
            {
                Fill(backend, step);
                writer.Save(new(step, new(1, 2)));
                Fill(backend, 99);
                writer.Poll();
            }
            writer.Finish();
            Assert.Equal(4, saved.Count);
        });
        Assert.Empty(Restore(folder["run"], 2, 4));
        Directory.Delete(folder["run/checkpoint/step-000000004"], recursive: true);
        Assert.Single(Restore(folder["run"], 2, 3));
    }
}
