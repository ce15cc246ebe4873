using CudaSae.Devices;
using CudaSae.Numerics;
using static CudaSae.Testing.Problems.FormatModels;

namespace CudaSae.Tests;

/// <summary>Rows with more active latents than the backends' lists or the training capacity hold.</summary>
[Trait("speed", "slow")]
public class LongRowsTests
{
    const int Wide = 3000, ManyK = 1200;

    public static TheoryData<string, string, bool> Layouts
    {
        get
        {
            var cases = new TheoryData<string, string, bool>();
            foreach (var selection in FormatModels.Selections.Where(name => name != "matryoshka"))
                cases.Add("saelens", selection, true);
            foreach (var selection in (string[])["topk", "groupmax"]) cases.Add("sparsify", selection, true);
            foreach (var format in (string[])["gemma-scope", "gemma-scope-2"])
                foreach (var selection in (string[])["jumprelu", "batchtopk"]) cases.Add(format, selection, false);
            foreach (var selection in (string[])["relu", "jumprelu", "topk"]) cases.Add("openmoss", selection, false);
            foreach (var selection in (string[])["relu", "gated", "topk", "batchtopk", "matryoshka"])
                cases.Add("dictionary_learning", selection, true);
            cases.Add("dictionary_learning", "jumprelu", false);
            cases.Add("openai", "relu", true);
            cases.Add("openai", "topk", true);
            return cases;
        }
    }

    static SaeModel Model(string selection, int latents, bool centres, InputNormalization normalization = default)
    {
        var spec = Spec(selection, centres: centres) with { Latents = latents };
        spec = spec with
        {
            Selection = spec.Selection switch
            {
                Selection.TopK => new Selection.TopK(ManyK),
                Selection.AbsTopK => new Selection.AbsTopK(ManyK),
                Selection.GroupMax => new Selection.GroupMax(1000),
                var other => other,
            },
        };
        var sae = FormatModels.Model(spec, normalization);
        foreach (var bias in (float[][])[sae.Parameters.BEnc, sae.Parameters.BMag])
            for (var f = 0; f < bias.Length; f++) bias[f] += 1;
        return sae;
    }

    /// <summary>Compares codes and reconstructions of an SAE that was written and read with the formula in
    /// double.</summary>
    [Theory, MemberData(nameof(Layouts))]
    public void EveryLayoutComputesRowsOfThousandsOfLatents(string format, string selection, bool centres)
    {
        using var folder = new TemporaryFolder();
        var place = folder[format == "openai" ? "sae.pt" : "sae"];
        var normalization = (format, selection) == ("openai", "topk") ? InputNormalization.LayerNorm : default;
        using var saved = Model(selection, Wide, centres, normalization);
        saved.Save(place, format);
        using var sae = Sae.Load(place, BackendKind.Cpu, batchRows: 4);
        var rows = Rows(6);
        var (codes, outputs) = (new SparseRows(), new float[rows.Length * D]);
        sae.Reconstruct([.. rows.SelectMany(row => row.Select(v => (float)v))], outputs, codes);
        for (var b = 0; b < rows.Length; b++)
        {
            var (code, output) = Forward(saved, rows[b]);
            var active = Enumerable.Range(0, Wide).Where(f => code[f] != 0).ToArray();
            Assert.True(active.Length > 900, $"{active.Length} active latents");
            Assert.Equal(active, codes.Indices(b).ToArray());
            for (var j = 0; j < active.Length; j++) Assert.Equal(code[active[j]], codes.Values(b)[j], 1e-5);
            // sums of thousands of terms
            for (var i = 0; i < D; i++) Assert.Equal(output[i], outputs[b * D + i], 1e-3);
        }
    }

    /// <summary>The rows are longer than the widest capacity of training.</summary>
    [Fact]
    public void AllOfManyLatentsMayBeActive()
    {
        const int Latents = 20_000;
        using var sae = new Sae(Model("relu", Latents, centres: true), BackendKind.Cpu, batchRows: 4);
        for (var f = 0; f < Latents; f++) sae.Model.Parameters.BEnc[f] = 20;
        var (row, codes) = (Rows(1)[0], new SparseRows());
        sae.Encode([.. row.Select(v => (float)v)], codes);
        Assert.Equal(Enumerable.Range(0, Latents), codes.Indices(0).ToArray());
        var (code, _) = Forward(sae.Model, row);
        for (var f = 0; f < Latents; f++) Assert.Equal(code[f], codes.Values(0)[f], 1e-5);
    }

    /// <summary>z is a whole number, so that a threshold can be met exactly.</summary>
    [Theory]
    [InlineData(2f, 2), InlineData(0f, 0), InlineData(-3f, 0), InlineData(1.5f, 1)]
    [InlineData(float.NaN, 5000), InlineData(float.PositiveInfinity, 5000)]
    public void BatchTopKEqualsTheJumpReluOfItsThreshold(float threshold, int last)
    {
        const int Latents = 2000;
        using var folder = new TemporaryFolder();
        var spec = Spec("batchtopk", centres: false) with { Latents = Latents, Selection = new Selection.BatchTopK(2) };
        var p = new SaeParameters(spec) { BatchThreshold = threshold };
        for (var f = 0; f < Latents; f++)
        {
            p.WEnc[f][0] = f % 5 - 1;       // z from −1 to 3
            p.WDec[f][f % D] = 1;
        }
        using var sae = new Sae(new(spec, p), BackendKind.Cpu, batchRows: 2);
        sae.Model.Save(folder["jump"], "gemma-scope-2");
        using var jump = Sae.Load(folder["jump"], BackendKind.Cpu, batchRows: 2);
        float[] row = [1, .. new float[D - 1]];
        foreach (var one in (Sae[])[sae, jump])
        {
            var codes = new SparseRows();
            one.Encode(row, codes);
            Assert.Equal(Enumerable.Range(0, Latents).Where(f => f % 5 - 1 > last), codes.Indices(0).ToArray());
        }
    }

    [Collection("emulator")]
    public class OnAllBackends
    {
        static readonly string[] Trained = ["batchtopk", "matryoshka", "relu", "jumprelu", "gated", "skip"];

        public static TheoryData<string, string> Cases
        {
            get
            {
                var cases = new TheoryData<string, string>();
                foreach (var target in Targets.Names.Where(name => name is "cpu" or "emulator, schedule 7" or "cuda"))
                    foreach (var selection in Trained) cases.Add(target, selection);
                return cases;
            }
        }

        /// <summary>A training backend whose rows have a capacity of 16 entries evaluates like the SAE that is saved
        /// from it.</summary>
        [Theory, MemberData(nameof(Cases))]
        public void EvaluationDuringTrainingMatchesTheSavedSae(string target, string selection)
        {
            using var folder = new TemporaryFolder();
            var spec = Spec(selection == "skip" ? "batchtopk" : selection) with { Latents = 96 };
            if (selection == "skip") spec = spec with { Transcoder = new(D, Skip: true), PreEncoderBias = false };
            spec = spec with
            {
                Selection = spec.Selection switch
                {
                    Selection.BatchTopK => new Selection.BatchTopK(2),
                    Selection.Relu => new Selection.Relu(16),
                    Selection.JumpRelu jump => jump with { Room = 16 },
                    var other => ((Selection.Gated)other) with { Room = 16 },
                },
            };
            using var model = FormatModels.Model(spec);
            model.Parameters.BatchThreshold = 0.2f;
            using var source = Source(folder, spec.RowWidth);
            var config = new TrainConfig { BatchRows = 16, Vectors = 64 };
            using var backend = Targets.Create(target)(spec, config, InputType.Float32);
            backend.SetParameters(model.Parameters);
            using var sae = new Sae(model, BackendKind.Cpu, batchRows: 16);
            var training = Evaluator.Run(backend, new(source, 0, source.Rows), new(1, 1));
            var saved = Evaluator.Run(sae, new(source, 0, source.Rows));
            Assert.True(saved.L0 > 20, $"L0 {saved.L0}");
            var rounding = target == "cpu" ? 1e-5 : 0.02;       // in bfloat16, entries at a threshold may differ
            Assert.Equal(saved.Fvu!.Value, training.Fvu!.Value, rounding * saved.Fvu.Value);
            Assert.Equal(saved.L0, training.L0, rounding * saved.L0);
            Assert.Equal(saved.SilentPercent, training.SilentPercent, 1e-9);
        }

        [Theory]
        [InlineData("batchtopk"), InlineData("relu")]
        public void DeviceRowsOfAnyLengthAreEncoded(string selection)
        {
            Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
            const int Latents = 640, Count = 5;
            using var sae = new Sae(Model(selection, Latents, centres: true), BackendKind.Emulator, batchRows: 4);
            for (var f = 0; f < Latents; f++) sae.Model.Parameters.BEnc[f] += 4;
            using var encoder = new Sae(Copy(sae.Model), BackendKind.Emulator, batchRows: 4);
            using var host = new Sae(Copy(sae.Model), BackendKind.Cpu, batchRows: 4);
            float[] rows = [.. Rows(Count).SelectMany(row => row.Select(v => (float)v))];
            var (expected, lent) = (new SparseRows(), new SparseRows());
            host.Encode(rows, expected);
            using var device = Targets.OpenEmulator();
            var stream = device.CreateStream();
            var memory = device.Allocate(4L * rows.Length);
            device.Upload<float>(memory, rows, stream);
            encoder.EncodeOnDevice(memory, Count, stream, lent);
            device.Free(memory);
            device.DestroyStream(stream);
            Assert.True(expected.Count > 512 * Count);
            Assert.Equal(expected.AllIndices.ToArray(), lent.AllIndices.ToArray());
            Assert.Equal(expected.AllValues.ToArray(), lent.AllValues.ToArray());
        }

        static SaeModel Copy(SaeModel sae)
        {
            var p = new SaeParameters(sae.Spec) { BatchThreshold = sae.Parameters.BatchThreshold };
            sae.Parameters.WEnc.CopyTo(p.WEnc);
            sae.Parameters.WDec.CopyTo(p.WDec);
            sae.Parameters.BEnc.CopyTo(p.BEnc, 0);
            sae.Parameters.BDec.CopyTo(p.BDec, 0);
            return new(sae.Spec, p);
        }
    }

    /// <summary>40 rows: two batches and a shorter one.</summary>
    static ActivationSource Source(TemporaryFolder folder, int width)
    {
        var random = new Random(5);
        SafetensorsWriter.Write(folder["rows.safetensors"], [new("x", "F32", [40, width], stream =>
        {
            for (var i = 0; i < 40 * width; i++) stream.Write(BitConverter.GetBytes(3 * random.NextSingle() - 1));
        })]);
        return ActivationSource.Open([folder["rows.safetensors"]]);
    }
}
