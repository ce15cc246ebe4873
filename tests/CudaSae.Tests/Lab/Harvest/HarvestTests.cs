using System.Text.Json;
using CudaSae.Lab.Harvest;

namespace CudaSae.Tests;

/// <summary>Compares our forward pass with the published graph, recorded by tests/golden/make_use_lite.mjs.
/// build/fetch-use-lite.sh fetches the weights.</summary>
public class HarvestTests
{
    static readonly string Weights = Path.Combine(Repository.Root, "artifacts", "use-lite");

    public static readonly TheoryData<int> Cases = [0, 1, 2, 3];

    [Theory]
    [MemberData(nameof(Cases))]
    public void TheForwardPassMatchesThePublishedGraph(int number)
    {
        Assert.SkipUnless(File.Exists(Path.Combine(Weights, "vocab.json")),
            "the encoder's weights are not here; build/fetch-use-lite.sh fetches them");
        using var golden =
            JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Root, "tests", "golden", "use_lite.json")));
        var expected = golden.RootElement[number];
        using var encoder = new UseLite(Weights);

        var ids = encoder.Tokenizer.Encode(expected.GetProperty("text").GetString()!);
        Assert.Equal(expected.GetProperty("ids").EnumerateArray().Select(e => e.GetInt32()), ids);

        float[] residual = [];
        encoder.Run(ids, (site, activations) =>
        {
            if (site == "resid_post0") residual = activations[ids.Length - 1].ToArray();
        });
        AssertClose(expected.GetProperty("residual_last_token"), residual);
        AssertClose(expected.GetProperty("embedding"), encoder.Embedding(ids));
    }

    static void AssertClose(JsonElement expected, float[] actual)
    {
        var numbers = expected.EnumerateArray().Select(e => e.GetDouble()).ToArray();
        Assert.Equal(numbers.Length, actual.Length);
        var largest = numbers.Max(Math.Abs);
        for (var i = 0; i < numbers.Length; i++)
            Assert.True(Math.Abs(numbers[i] - actual[i]) <= 1e-5 * Math.Max(1, largest),
                $"element {i}: {actual[i]}, {numbers[i]} was published");
    }

    [Fact]
    public void TheShippedSplitsShareNoSentence()
    {
        var train = Sentences("use_lite_resid_post0_train.jsonl");
        var held = Sentences("use_lite_resid_post0_held_out.jsonl");
        Assert.NotEmpty(train);
        Assert.NotEmpty(held);
        Assert.Empty(train.Intersect(held));
        using var source =
            ActivationSource.Open([Path.Combine(Repository.Root, "data", "use_lite_resid_post0_train.npy")]);
        Assert.Equal(512, source.Width);
        Assert.InRange(source.Rows, 16_000, 16_384);

        static HashSet<string> Sentences(string name) =>
            [.. File.ReadLines(Path.Combine(Repository.Root, "data", name)).Select(line =>
        {
            using var json = JsonDocument.Parse(line);
            return json.RootElement.GetProperty("text").GetString()!;
        })];
    }
}
