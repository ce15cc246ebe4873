using CudaSae.Lab.Downstream;
using CudaSae.Lab.Harvest;
using CudaSae.Numerics;
using static CudaSae.Tests.Llama2Tests;

namespace CudaSae.Tests;

/// <summary>Activations that are harvested from llama2.c's models, and the loss of the real model.</summary>
public class Llama2HarvestTests
{
    [Theory]
    [InlineData(InputType.Float32, false)]
    [InlineData(InputType.Float16, true)]
    public void HarvestedRowsAreTheActivations(InputType type, bool excludeBos)
    {
        using var folder = new TemporaryFolder();
        using var model = Open(new());
        int[][] sequences = [Ids[..5], [1, 2, 1, 3], Ids[..7], [1, 5]];
        using var queue = new SequenceQueue(sequences.Select(ids => new TokenSequence(ids, "t")));
        var harvester = new Harvester(model, "mlp_hidden1", type, excludeBos);
        int[] kept = [.. sequences[..2].SelectMany(s => s).Where(id => !excludeBos || id != 1)];
        // the third sequence does not fit
        Assert.Equal(kept.Length, harvester.Write(queue, kept.Length + 3, folder["a.npy"]));
        Assert.Equal(7, harvester.Write(queue, 7, folder["b.npy"]));         // without BOS the last sequence fits too
        using var source = ActivationSource.Open([folder["a.npy"]]);
        Assert.Equal((20, type, $"mlp_hidden1 of {model.Name}"), (source.Width, source.Type, source.Site));
        Assert.Equal(kept, Enumerable.Range(0, kept.Length).Select(i => source.Token(i)));
        long row = 0;
        var actual = new float[20];
        foreach (var ids in sequences[..2])
            model.Run(ids, (site, x) =>
            {
                for (var t = 0; t < ids.Length && site == "mlp_hidden1"; t++)
                {
                    if (excludeBos && ids[t] == 1) continue;
                    source.ReadRow(row++, actual);
                    Assert.Equal(x[t].ToArray().Select(v => type == InputType.Float16 ? (float)(Half)v : v), actual);
                }
            });
        var tokens = string.Join(',', sequences[0].Where(id => !excludeBos || id != 1).Select(id => $"\"<{id}>\""));
        Assert.Equal($$"""{"row":0,"text":"t","tokens":[{{tokens}}]}""", File.ReadLines(folder["a.jsonl"]).First());
        AssertOneLine("there is no site x3; one of resid_pre0", () => _ = new Harvester(model, "x3"));
        AssertOneLine("too large for float16",
            () => new Harvester(new Huge(), "x").Write(new([new([1], "t")]), 9, folder["c.npy"]));
    }

    /// <summary>A network of one site, one wide, that holds 1e6.</summary>
    sealed class Huge : IHostModel
    {
        public string Name => "huge";
        public IReadOnlyList<Site> Sites => [new("x", 1)];
        public int MaxTokens => 4;
        public int? Bos => null;
        public IReadOnlyList<string> Pieces => [];
        public IEnumerable<TokenSequence> Sequences(string text) => [];
        public string Decode(ReadOnlySpan<int> ids) => "";

        public void Run(ReadOnlySpan<int> ids, Action<string, Matrix> hook)
        {
            using var matrix = new Matrix(ids.Length, 1);
            matrix[0][0] = 1e6f;
            hook("x", matrix);
        }

        public void Dispose() { }
    }

    /// <summary>The real model on real text. The 1,804 predicted tokens do not include the five BOS, and each story is
    /// read separately.</summary>
    [Fact]
    public void TheRealModelHasTheKnownLoss()
    {
        Assert.SkipWhen(Repository.Shared("stories260K.bin") is null, "stories260K.bin is not beside the repository");
        using var model = new Llama2(Repository.Shared("stories260K.bin")!, Repository.Shared("tok512.bin"));
        var sequences = model.Sequences(File.ReadAllText(Repository.Shared("tinystories_sample.txt")!)).ToArray();
        Assert.Equal((5, 1809), (sequences.Length, sequences.Sum(s => s.Ids.Length)));
        Assert.Equal([" Once", " upon", " a", " time"], sequences[0].Ids[1..5].Select(id => model.Pieces[id]));
        var losses = new LossTotals();
        foreach (var (ids, _) in sequences) losses.Add(model.Logits(ids, static (_, _) => { }), ids, _ => true, []);
        Assert.Equal(1804, losses.Each.Count);
        Assert.Equal(1.26644, losses.CrossEntropy, 1e-4);
    }
}
