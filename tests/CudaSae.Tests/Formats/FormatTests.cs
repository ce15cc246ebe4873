using static CudaSae.Testing.Problems.FormatModels;

namespace CudaSae.Tests;

public class FormatTests
{
    /// <summary>SAEs that each layout stores unchanged: format, selection, whether b_dec is subtracted, d_out (0: not a
    /// transcoder), skip, normalization.</summary>
    public static TheoryData<string, string, bool, int, bool, InputNormalization> Direct
    {
        get
        {
            var cases = new TheoryData<string, string, bool, int, bool, InputNormalization>();
            foreach (var selection in Selections)
            {
                foreach (var centres in (bool[])[true, false])
                    foreach (var normalization in Enum.GetValues<InputNormalization>())
                        cases.Add("saelens", selection, centres, 0, false, normalization);
                foreach (var skip in (bool[])[true, false])
                    if (selection != "matryoshka")
                        cases.Add("saelens", selection, false, 5, skip, InputNormalization.None);
            }
            foreach (var selection in (string[])["topk", "groupmax"])
            {
                cases.Add("sparsify", selection, true, 0, false, InputNormalization.None);
                cases.Add("sparsify", selection, false, D, false, InputNormalization.None);
                cases.Add("sparsify", selection, false, D, true, InputNormalization.None);
            }
            foreach (var format in (string[])["gemma-scope", "gemma-scope-2"])
            {
                cases.Add(format, "jumprelu", false, 0, false, InputNormalization.None);
                cases.Add(format, "jumprelu", false, 5, false, InputNormalization.None);
            }
            cases.Add("gemma-scope-2", "jumprelu", false, D, false, InputNormalization.None);
            cases.Add("gemma-scope-2", "jumprelu", false, 5, true, InputNormalization.None);
            foreach (var selection in (string[])["relu", "topk"])
            {
                cases.Add("openmoss", selection, false, 0, false, InputNormalization.None);
                cases.Add("openmoss", selection, false, 0, false, InputNormalization.ConstantNorm);
                cases.Add("openmoss", selection, false, D, false, InputNormalization.None);
            }
            foreach (var selection in (string[])["relu", "gated", "topk", "batchtopk", "matryoshka"])
                cases.Add("dictionary_learning", selection, true, 0, false, InputNormalization.None);
            foreach (var selection in (string[])["relu", "jumprelu"])
                cases.Add("dictionary_learning", selection, false, 0, false, InputNormalization.None);
            cases.Add("openai", "relu", true, 0, false, InputNormalization.None);
            cases.Add("openai", "topk", true, 0, false, InputNormalization.LayerNorm);
            return cases;
        }
    }

    [Theory, MemberData(nameof(Direct))]
    public void WrittenSaesAreReadBack(string format, string selection, bool centres, int output, bool skip,
        InputNormalization normalization)
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec(selection, output == 0 ? null : output, skip, centres), normalization);
        var notes = sae.Save(Place(folder, format), format);
        Assert.Equal(format, SaeFormats.Of(Place(folder, format)).Name);
        using var again = SaeModel.Load(Place(folder, format));
        Assert.Equal("", Differences(sae, again));
        AssertSameKind(sae.Spec, again.Spec);
        Assert.Equal(normalization, again.Normalization);
        Assert.DoesNotContain(notes.Concat(again.Notes), n => n.Contains("folded"));
        if (format is not ("gemma-scope" or "openai"))
            Assert.Equal("blocks.3.hook_resid_post", (string?)again.About["hook_name"]);
    }

    static string Place(TemporaryFolder folder, string format) => folder[format == "openai" ? "sae.pt" : "sae"];

    static void AssertSameKind(SaeSpec a, SaeSpec b)
    {
        Assert.Equal(a.Selection.GetType(), b.Selection.GetType());
        Assert.Equal((a.InputWidth, a.Latents, a.OutputWidth, a.Transcoder, a.PreEncoderBias),
            (b.InputWidth, b.Latents, b.OutputWidth, b.Transcoder, b.PreEncoderBias));
        if (!a.IsThresholded && a.Selection is not Selection.BatchTopK)
            Assert.Equal(a.ActiveAtInference, b.ActiveAtInference);
        if (a.Selection is Selection.BatchTopK batch)
            Assert.Equal((batch.K, a.Nested), (((Selection.BatchTopK)b.Selection).K, b.Nested));
    }

    /// <summary>SAEs that a layout stores as an equivalent SAE: format, selection, whether b_dec is subtracted before,
    /// text of the note.</summary>
    [Theory]
    [InlineData("sparsify", "topk", false, "W_enc b_dec")]
    [InlineData("sparsify", "groupmax", false, "W_enc b_dec")]
    [InlineData("gemma-scope", "jumprelu", true, "W_enc b_dec")]
    [InlineData("gemma-scope", "relu", false, "θ = 0")]
    [InlineData("gemma-scope", "gated", true, "Gated")]
    [InlineData("gemma-scope-2", "batchtopk", true, "running threshold, θ = 0.4")]
    [InlineData("gemma-scope-2", "matryoshka", false, "running threshold")]
    [InlineData("gemma-scope-2", "gated", false, "Gated")]
    [InlineData("openmoss", "jumprelu", true, "logarithm")]
    [InlineData("openmoss", "gated", true, "Gated")]
    [InlineData("openmoss", "batchtopk", false, "running threshold")]
    [InlineData("openmoss", "topk", true, "W_enc b_dec")]
    [InlineData("dictionary_learning", "jumprelu", true, "W_enc b_dec")]
    [InlineData("dictionary_learning", "topk", false, "W_enc b_dec")]
    [InlineData("dictionary_learning", "gated", false, "W_enc b_dec")]
    [InlineData("dictionary_learning", "matryoshka", false, "W_enc b_dec")]
    [InlineData("openai", "relu", false, "W_enc b_dec")]
    public void AnEquivalentSaeComputesTheSameFunction(string format, string selection, bool centres, string note)
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec(selection, centres: centres));
        var notes = sae.Save(Place(folder, format), format);
        Assert.Contains(notes, n => n.Contains(note));
        using var again = SaeModel.Load(Place(folder, format));
        Assert.InRange(Distance(sae, again), 0, 2e-6);
        Assert.True(Rows().Average(row => Forward(sae, row).Code.Count(v => v != 0)) is > 1 and < N - 1,
            "the test's SAE should be neither silent nor dense");
    }

    [Theory]
    [InlineData("sparsify", "relu", "it supports TopK and GroupMax, not ReLU")]
    [InlineData("sparsify", "abstopk", "not AbsTopK")]
    [InlineData("gemma-scope", "topk", "by rank, which a threshold cannot express")]
    [InlineData("gemma-scope-2", "groupmax", "by rank, which a threshold cannot express")]
    [InlineData("openmoss", "abstopk", "not AbsTopK")]
    [InlineData("dictionary_learning", "groupmax", "no dict_class for GroupMax")]
    [InlineData("dictionary_learning", "abstopk", "no dict_class for AbsTopK")]
    [InlineData("openai", "jumprelu", "it supports ReLU and TopK, not JumpReLU")]
    [InlineData("openai", "topk", "its loader normalizes the rows of every TopK SAE")]
    [InlineData("openai", "relu", "those of this ReLU SAE are", InputNormalization.LayerNorm)]
    [InlineData("openai", "topk", "rows are normalized first .to norm √d", InputNormalization.ConstantNorm)]
    [InlineData("sparsify", "topk", "rows are normalized first .layer norm", InputNormalization.LayerNorm)]
    [InlineData("gemma-scope", "jumprelu", "rows are normalized first", InputNormalization.LayerNorm)]
    [InlineData("openmoss", "topk", "rows are normalized first", InputNormalization.LayerNorm)]
    [InlineData("gemma-scope", "jumprelu", "skip connection", InputNormalization.None, D, true)]
    [InlineData("openmoss", "relu", "skip connection", InputNormalization.None, D, true)]
    [InlineData("openmoss", "relu", "reads 6 numbers and predicts 5", InputNormalization.None, 5)]
    [InlineData("sparsify", "topk", "reads 6 numbers and predicts 5", InputNormalization.None, 5)]
    [InlineData("dictionary_learning", "relu", "it is a transcoder", InputNormalization.None, D)]
    [InlineData("openai", "relu", "it is a transcoder", InputNormalization.None, D)]
    [InlineData("saelens", "relu", "its transcoders do not undo a normalization", InputNormalization.LayerNorm, D)]
    public void InexpressibleSaesAreRefusedBeforeWriting(string format, string selection, string expected,
        InputNormalization normalization = InputNormalization.None, int output = 0, bool skip = false)
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec(selection, output == 0 ? null : output, skip), normalization);
        AssertOneLine($"^{format} cannot express this SAE: .*{expected}",
            () => sae.Save(Place(folder, format), format));
        Assert.False(File.Exists(Place(folder, format)) || Directory.Exists(Place(folder, format)));
    }

    [Theory]
    [InlineData("sparsify")]
    [InlineData("gemma-scope")]
    [InlineData("gemma-scope-2")]
    [InlineData("openmoss")]
    public void ACrosscoderIsRefused(string format)
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec("topk", centres: false) with { Sites = [2, 4] });
        AssertOneLine("a crosscoder of 2 sites", () => sae.Save(folder["sae"], format));
        Assert.Contains(sae.Save(folder["own"]), n => n.Contains("no crosscoders"));
        using var again = SaeModel.Load(folder["own"]);
        Assert.Equal([2, 4], again.Spec.Sites!);
    }

    [Fact]
    public void AJumpReluSurvivesARoundTripThroughAllLayouts()
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec("jumprelu", centres: false));
        using var end =
            Chain(folder, sae, "saelens", "gemma-scope-2", "dictionary_learning", "gemma-scope", "openmoss", "saelens");
        Assert.Equal("Threshold", Differences(sae, end));       // through its logarithm
        Assert.All(sae.Parameters.Threshold.Zip(end.Parameters.Threshold), t => Assert.Equal(t.First, t.Second, 1e-6f));
    }

    [Fact]
    public void ATopKSurvivesARoundTripThroughAllLayouts()
    {
        using var folder = new TemporaryFolder();
        using var plain = FormatModels.Model(Spec("topk"), zeroBias: true);
        using var end =
            Chain(folder, plain, "saelens", "sparsify", "dictionary_learning", "openmoss", "sparsify", "saelens");
        Assert.Equal("", Differences(plain, end));
        using var normalized = FormatModels.Model(Spec("topk"), InputNormalization.LayerNorm);
        using var other = Chain(folder, normalized, "saelens", "openai", "saelens", "openai");
        Assert.Equal("", Differences(normalized, other));

        // With a bias, sparsify subtracts and openmoss does not: b_enc is converted and converted back, and everything
        // else is unchanged.
        using var biased = FormatModels.Model(Spec("topk"));
        using var back = Chain(folder, biased, "sparsify", "openmoss", "dictionary_learning", "saelens");
        Assert.Equal("BEnc", Differences(biased, back));
        Assert.InRange(Distance(biased, back), 0, 2e-6);
    }

    /// <summary>The engine computes the function that was read. Rows are small, so that the ε of layer norm
    /// matters.</summary>
    [Theory]
    [InlineData("openai", "topk", InputNormalization.LayerNorm)]
    [InlineData("openmoss", "topk", InputNormalization.ConstantNorm)]
    [InlineData("gemma-scope", "jumprelu", InputNormalization.None)]
    [InlineData("dictionary_learning", "batchtopk", InputNormalization.None)]
    [InlineData("sparsify", "groupmax", InputNormalization.None)]
    public void TheEngineComputesTheFunctionThatIsRead(string format, string selection,
        InputNormalization normalization)
    {
        using var folder = new TemporaryFolder();
        using var saved = FormatModels.Model(Spec(selection), normalization);
        saved.Save(Place(folder, format), format);
        using var sae = Sae.Load(Place(folder, format), CudaSae.Backends.BackendKind.Cpu, batchRows: 8);
        var small = normalization == InputNormalization.None ? 1 : 0.01;
        double[][] rows = [.. Rows(16).Select(row => row.Select(v => (double)(float)(small * v)).ToArray())];
        var output = new float[rows.Length * D];
        sae.Reconstruct([.. rows.SelectMany(row => row.Select(v => (float)v))], output);
        for (var row = 0; row < rows.Length; row++)
            for (var i = 0; i < D; i++)
                Assert.Equal(Forward(saved, rows[row]).Output[i], output[row * D + i], 2e-6 * small * 10);
    }

    static SaeModel Chain(TemporaryFolder folder, SaeModel sae, params string[] formats)
    {
        foreach (var format in formats)
        {
            var place =
                folder[$"{Directory.GetFileSystemEntries(folder["."]).Length}{(format == "openai" ? ".pt" : "")}"];
            sae.Save(place, format);
            sae = SaeModel.Load(place);
        }
        return sae;
    }
}
