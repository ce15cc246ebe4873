using System.Runtime.InteropServices;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Training on rows in a caller's memory.</summary>
[Collection("alone")]
public class SaeTrainerTests
{
    const int D = 20, B = 16, Steps = 12;

    static readonly SaeSpec Spec = new()
    {
        InputWidth = D, Latents = 96, Selection = new Selection.TopK(4), Aux = new(16, 0.25f, 64)
    };
    static readonly TrainConfig Config = new() { BatchRows = B, Vectors = B * Steps };

    public static TheoryData<BackendKind> Kinds =>
        Targets.HasEmulator ? [BackendKind.Cpu, BackendKind.Emulator] : [BackendKind.Cpu];

    static float[] Data(int rows = 128)
    {
        var random = new Random(3);
        return [.. Enumerable.Range(0, rows * D).Select(i => (float)(2 * random.NextDouble() - 1 + 0.1 * (i % D)))];
    }

    /// <summary>Returns the batches of a run, in its order.</summary>
    static IEnumerable<float[]> Batches(float[] data)
    {
        var permutation = new RowPermutation(Config.Seed, 0, data.Length / D);
        var at = 0L;
        for (var epoch = 0; ; epoch++)
        {
            permutation = new(Config.Seed, epoch, data.Length / D);
            var batch = new List<float>();
            for (var i = 0; i < data.Length / D; i++)
            {
                batch.AddRange(data.AsSpan((int)permutation[i] * D, D));
                if (batch.Count < B * D) continue;
                yield return [.. batch];
                batch.Clear();
                if (++at == Steps) yield break;
            }
        }
    }

    [Theory, MemberData(nameof(Kinds))]
    public void WeightsEqualThoseOfARunOnTheSameRows(BackendKind kind)
    {
        var data = Data();
        using var source = ActivationSource.Of(MemoryMarshal.AsBytes<float>(data).ToArray(), D, InputType.Float32);
        var start = new TrainingStart(source, source.Rows, Spec, Config);
        using var backend = BackendFactory.Create(kind, Spec, Config, InputType.Float32, static (_, _) => { }, out _);
        using var weights = start.Weights(Spec, Config);
        backend.SetParameters(weights);
        new Trainer(backend, source, source.Rows, start.Scale, null, new RecordingObserver())
            .Run(default, CancellationToken.None);
        backend.GetParameters(weights);
        Export.Finish(Spec, Config, weights, start.Scale);

        using var trainer = new SaeTrainer(Spec, Config, kind);
        trainer.Start(data);
        foreach (var batch in Batches(data)) trainer.Step(batch);
        Assert.Equal(Steps, trainer.Steps);
        Assert.Equal(Steps, trainer.Metrics().Step);
        using var model = trainer.Model();
        AssertSame(weights, model.Parameters);
    }

    static void AssertSame(SaeParameters expected, SaeParameters actual)
    {
        for (var f = 0; f < Spec.Latents; f++)
        {
            Assert.Equal(expected.WEnc[f].ToArray(), actual.WEnc[f].ToArray());
            Assert.Equal(expected.WDec[f].ToArray(), actual.WDec[f].ToArray());
        }
        Assert.Equal(expected.BEnc, actual.BEnc);
        Assert.Equal(expected.BDec, actual.BDec);
    }

    [Theory, MemberData(nameof(Kinds))]
    public void ARestoredTrainerContinuesBitForBit(BackendKind kind)
    {
        using var folder = new TemporaryFolder();
        var batches = Batches(Data()).ToArray();
        using var whole = new SaeTrainer(Spec, Config, kind);
        using (var first = new SaeTrainer(Spec, Config, kind))
        {
            foreach (var batch in batches[..5])
            {
                first.Step(batch);
                whole.Step(batch);
            }
            first.Save(folder["half"]);
        }
        using var second = new SaeTrainer(Spec, Config, kind);
        second.Restore(folder["half"]);
        Assert.Equal(5, second.Steps);
        foreach (var batch in batches[5..])
        {
            second.Step(batch);
            whole.Step(batch);
        }
        using var a = whole.Model();
        using var b = second.Model();
        AssertSame(a.Parameters, b.Parameters);
    }

    /// <summary>Rows in device memory, written and overwritten on a stream of the caller, give the same bits as rows in
    /// host memory.</summary>
    [Fact]
    public unsafe void DeviceRowsGiveTheSameBits()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
        var batches = Batches(Data()).ToArray();
        using var host = new SaeTrainer(Spec, Config, BackendKind.Emulator);
        foreach (var batch in batches) host.Step(batch);

        using var device = Targets.OpenEmulator();
        var stream = device.CreateStream();
        var rows = device.Allocate(4L * B * D);
        using (var trainer = new SaeTrainer(Spec, Config, BackendKind.Emulator))
        {
            foreach (var batch in batches)
            {
                var pinned = device.AllocatePinned(4L * B * D);
                batch.CopyTo(new Span<float>(pinned, B * D));
                device.CopyToDevice(rows, pinned, 4L * B * D, stream);
                trainer.StepOnDevice(rows, stream);
                device.Fill32(rows, 0x7fc00000, B * D, stream);     // NaN, written after the step has copied its rows
                device.Synchronize(stream);
                device.FreePinned(pinned);
            }
            using var a = host.Model();
            using var b = trainer.Model();
            AssertSame(a.Parameters, b.Parameters);
        }
        device.Free(rows);
        device.DestroyStream(stream);
    }

    [Fact]
    public void HalfPrecisionIsReadAndNonFiniteRowsAreReplaced()
    {
        var data = Data();
        var halves = Array.ConvertAll(data, x => (Half)x);
        var config = Config with { NonFinite = NonFiniteRows.Replace };
        using var trainer = new SaeTrainer(Spec, config, BackendKind.Cpu, InputType.Float16);
        var batch = halves[..(B * D)];
        batch[0] = batch[3 * D + 1] = Half.NaN;
        trainer.Step(MemoryMarshal.AsBytes<Half>(batch));
        Assert.Equal(2, trainer.ReplacedRows);
        Assert.True(double.IsFinite(trainer.Metrics().Loss));
        Assert.Contains("Float16", Assert.Throws<SaeException>(() => trainer.Step(data.AsSpan(0, B * D))).Message);

        // The first row has no finite row before it and is replaced by row 1; row 3 is replaced by row 2.
        using var clean = new SaeTrainer(Spec, Config, BackendKind.Cpu, InputType.Float16);
        var replaced = batch.ToArray();
        replaced.AsSpan(D, D).CopyTo(replaced);
        replaced.AsSpan(2 * D, D).CopyTo(replaced.AsSpan(3 * D));
        clean.Step(MemoryMarshal.AsBytes<Half>(replaced));
        Assert.Equal(clean.Metrics().Loss, trainer.Metrics().Loss);
        Assert.Contains("NonFinite to Replace", Assert.Throws<SaeException>(
            () => new SaeTrainer(Spec, Config with { NonFinite = NonFiniteRows.Skip }, BackendKind.Cpu)).Message);

        using var strict = new SaeTrainer(Spec, Config, BackendKind.Cpu);
        Assert.Contains("started", Assert.Throws<SaeException>(() => strict.Metrics()).Message);
        data[2 * D] = float.PositiveInfinity;
        Assert.Contains("row 2", Assert.Throws<SaeException>(() => strict.Step(data.AsSpan(0, B * D))).Message);
        Assert.Contains("BatchRows", Assert.Throws<SaeException>(() => strict.Step(data.AsSpan(0, D))).Message);
        Assert.Contains("device memory", Assert.Throws<SaeException>(() => strict.StepOnDevice(4096)).Message);
        Assert.Equal(0, strict.Steps);
    }

    public static TheoryData<string> Methods => ["topk", "jumprelu", "matryoshka", "april-2024", "p-anneal"];

    [Theory, MemberData(nameof(Methods))]
    public void AStepAllocatesNothing(string preset)
    {
        var (spec, config) = Preset.Named(preset).Make(D, 96, 4, new() { BatchRows = B, Vectors = B * 100 });
        using var trainer = new SaeTrainer(spec, config with { Resampling = null }, BackendKind.Cpu);
        var batch = Data(B);
        for (var i = 0; i < 25; i++) trainer.Step(batch);
        var allocated = Allocations.LeastOf(() =>
        {
            for (var i = 0; i < 15; i++) trainer.Step(batch);
        });
        Assert.InRange(allocated, 0, 1500);     // less than 100 bytes a step: a note where the path changes
    }
}
