using CudaSae.Distributed;

namespace CudaSae.Tests;

/// <summary>Writes finished SAEs in pieces, as the ranks of a run do, and compares folders.</summary>
static class SaePieceFolder
{
    public const string IndexName = "sae_weights.safetensors.index.json";

    /// <summary>Makes a small random SAE.</summary>
    public static SaeModel RandomSae(int seed, string selection = "batchtopk") =>
        FormatModels.Model(FormatModels.Spec(selection), seed: seed);

    /// <summary>Returns the name of a piece.</summary>
    /// <param name="place">From 1.</param>
    public static string Piece(int place, int pieces, string stem = "sae_weights") =>
        $"{stem}-{place:D5}-of-{pieces:D5}.safetensors";

    /// <summary>Writes an SAE as a number of ranks; as one file for one.</summary>
    public static void Write(string path, SaeModel model, int ranks)
    {
        if (ranks == 1) model.Save(path);
        else RankThreads.Run(ranks, collective => { WriteOwn(path, model, collective); });
    }

    /// <summary>Writes the piece of a rank.</summary>
    public static void WriteOwn(string path, SaeModel model, ICollective collective)
    {
        var shard = new ShardPlan(collective, model.Spec);
        using var own = new SaeModel(model.Spec, OwnLatents.Rows(model.Parameters, shard)) { About = model.About };
        SaeLensFormat.WritePieces(path, own, shard);
    }

    /// <summary>Requires that a folder holds an SAE, whatever its form: joined to one file, it has the same
    /// bytes.</summary>
    public static void AssertHolds(TemporaryFolder folder, string path, SaeModel expected)
    {
        using var read = SaeModel.Load(path);
        read.Save(folder["joined"]);
        expected.Save(folder["expected"]);
        foreach (var file in new[] { "sae_weights.safetensors", "cfg.json" })
            Assert.Equal(File.ReadAllBytes(folder[$"expected/{file}"]), File.ReadAllBytes(folder[$"joined/{file}"]));
    }

    /// <summary>Requires the files of an SAE in a number of pieces, or of one file, and no others.</summary>
    public static void AssertFiles(string path, int pieces, string stem = "sae_weights") => Assert.Equal(
        pieces == 1 ? ["cfg.json", "sae_weights.safetensors"]
            : [.. Enumerable.Range(1, pieces).Select(place => Piece(place, pieces, stem))
                .Append("cfg.json").Append(IndexName).Order(StringComparer.Ordinal)],
        Names(path));

    public static string[] Names(string path) =>
        [.. Directory.GetFileSystemEntries(path).Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal)];

    /// <summary>Copies the files of a folder into another, and replaces those of the same name.</summary>
    public static void Copy(string from, string into, Func<string, bool>? which = null)
    {
        Directory.CreateDirectory(into);
        foreach (var name in Names(from).Where(which ?? (_ => true)))
            File.Copy(Path.Combine(from, name), Path.Combine(into, name), overwrite: true);
    }
}
