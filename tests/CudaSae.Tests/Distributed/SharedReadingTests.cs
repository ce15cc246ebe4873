using System.Runtime.InteropServices;
using CudaSae.Backends.Cpu;
using CudaSae.Backends.Kernels;
using CudaSae.Distributed;
using CudaSae.Feeding;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Ranks that each read a share of a batch train as ranks that read all rows.</summary>
[Collection("emulator")]
public class SharedReadingTests
{
    const int Width = 24;

    static readonly RankSettings Shared = new(SharedReading: true);

    static readonly TrainConfig Config = new()
    {
        BatchRows = 32, Vectors = 32 * 40, LogEvery = 1, LearningRate = 3e-3f
    };

    static readonly SaeSpec Spec = new() { InputWidth = Width, Latents = 96, Selection = new Selection.TopK(2) };

    /// <summary>Rows that are not finite: alone, as neighbours, and the last one. 448 of 512 rows are for
    /// training.</summary>
    static readonly int[] Bad = [3, 64, 65, 66, 67, 200, 301, 302, 447];

    /// <summary>Writes rows.npy.</summary>
    static void Write(TemporaryFolder folder, params int[] bad)
    {
        using (RankTrainingTests.Data(folder, "rows.npy")) { }
        var bytes = File.ReadAllBytes(folder["rows.npy"]);
        var start = bytes.Length - 512 * Width * sizeof(float);
        foreach (var row in bad) BitConverter.TryWriteBytes(bytes.AsSpan(start + (row * Width + 5) * 4), float.NaN);
        File.WriteAllBytes(folder["rows.npy"], bytes);
    }

    static void RequireOneProcess(TrainConfig config, int ranks, string line, params int[] bad)
    {
        using var folder = new TemporaryFolder();
        Write(folder, bad);
        var one = RankTrainingTests.Train(folder, "one", Spec, config, null);
        Assert.Contains(one.Log, text => text.Contains(line));
        foreach (var rank in RankThreads.Run(ranks, own =>
            RankTrainingTests.Train(folder, "ranks", Spec, config, own, Shared)))
        {
            Assert.Equal(one.Log, rank.Log);
            Assert.Equal(one.Measured.ToString(), rank.Measured.ToString());
            Assert.Equal(one.Weights, rank.Weights);
        }
    }

    /// <summary>The runs have several epochs, and batches whose rows the ranks cannot share equally.</summary>
    [Theory, InlineData(2, 0), InlineData(3, 0), InlineData(3, 100)]
    public void RunsWithSkippedRowsHaveTheBitsOfOneProcess(int ranks, int window) => RequireOneProcess(
        Config with { NonFinite = NonFiniteRows.Skip, ShuffleWindow = window }, ranks, "rows skipped", Bad);

    [Fact]
    public void ResamplingReadsRowsOfItsOwnBetweenTheBatches() => RequireOneProcess(
        Config with { Resampling = new(Every: 10, Times: 3, DeadAfterSteps: 5, Inputs: 128) }, 3, "latents resampled");

    /// <summary>A row beyond the share of a rank is not finite in its data, so a rank that reads one refuses it.
    /// Together the shares are the batches of one process.</summary>
    [Theory, InlineData(2, 32), InlineData(3, 32), InlineData(5, 3)]
    public void ARankReadsItsShareAlone(int ranks, int batchRows)
    {
        const int Rows = 100;
        var config = new TrainConfig { BatchRows = batchRows, Vectors = 10_000, NonFinite = NonFiniteRows.Stop };
        var all = new float[Rows * Width];
        for (var i = 0; i < all.Length; i++) all[i] = i;
        using var whole = ActivationSource.Of(MemoryMarshal.AsBytes(all.AsSpan()).ToArray(), Width,
            InputType.Float32);
        using var expected = new HostBatches(whole, Rows, config, default, 1);
        var batch = new byte[batchRows * whole.RowBytes];
        // The batches of one epoch, so that a row belongs to one rank.
        for (var made = 0; made < Rows / batchRows; made++)
        {
            var numbers = new long[batchRows];
            RowOrders.Of(config, 0, Rows, whole.RowBytes).Fill(expected.Cursor.Position, numbers);
            var start = expected.Cursor;
            expected.Make(batch);
            var joined = new byte[batch.Length];
            RankThreads.Run(ranks, own =>
            {
                var shard = new ShardPlan(own, Spec) { SharedReading = true };
                var starts = shard.RowStarts(batchRows);
                var (first, end) = ((int)starts[own.Rank], (int)starts[own.Rank + 1]);
                var data = new float[all.Length];
                Array.Fill(data, float.NaN);
                foreach (var row in numbers[first..end])
                    all.AsSpan((int)row * Width, Width).CopyTo(data.AsSpan((int)row * Width));
                using var source = ActivationSource.Of(MemoryMarshal.AsBytes(data.AsSpan()).ToArray(), Width,
                    InputType.Float32);
                using var maker = new SharedBatches(source, Rows, config, start, 2, shard);
                var slot = new byte[batch.Length];
                maker.Make(slot);
                Assert.Equal(expected.Cursor, maker.Cursor);
                lock (joined) slot.AsSpan(first * source.RowBytes, (end - first) * source.RowBytes)
                    .CopyTo(joined.AsSpan(first * source.RowBytes));
            });
            Assert.Equal(batch, joined);
        }
    }

    [Fact]
    public void ARowThatIsNotFiniteIsNamed()
    {
        using var folder = new TemporaryFolder();
        Write(folder, 301);
        var e = Assert.Throws<SaeException>(() => RankThreads.Run(3, own =>
            RankTrainingTests.Train(folder, "ranks", Spec, Config, own, Shared)));
        Assert.Contains("rows.npy, row 301 holds NaN or infinity", e.Message);
    }

    /// <summary>The data change between the scan and the read.</summary>
    [Fact]
    public void ARowThatIsNoLongerFiniteIsRefused()
    {
        var rows = new byte[70 * Width * sizeof(float)];
        using var source = ActivationSource.Of(rows, Width, InputType.Float32);
        using var alone = new SingleCollective();
        using var maker = new SharedBatches(source, 70, Config with { NonFinite = NonFiniteRows.Skip }, default, 1,
            new(alone, Spec) { SharedReading = true });
        for (var row = 0; row < 70; row++) BitConverter.TryWriteBytes(rows.AsSpan(row * source.RowBytes), float.NaN);
        var slot = new byte[Config.BatchRows * source.RowBytes];
        var e = Assert.Throws<SaeException>(() => maker.Make(slot));
        Assert.Contains("leave the data of a run unchanged", e.Message);
    }

    [Fact]
    public void DataWithoutAFiniteRowAreRefused()
    {
        using var source = ActivationSource.Of(MemoryMarshal.AsBytes(Enumerable.Repeat(float.NaN, 70 * Width)
            .ToArray().AsSpan()).ToArray(), Width, InputType.Float32);
        var config = Config with { NonFinite = NonFiniteRows.Skip };
        var e = Assert.Throws<SaeException>(() => RankThreads.Run(2, own =>
        {
            using var maker = new SharedBatches(source, 70, config, default, 1,
                new(own, Spec) { SharedReading = true });
            maker.Make(new byte[config.BatchRows * source.RowBytes]);
        }));
        Assert.Contains("no row of the data is finite", e.Message);
    }

    [Fact]
    public void DataThatDifferBetweenRanksAreRefused()
    {
        using var folder = new TemporaryFolder();
        var e = Assert.Throws<SaeException>(() => RankThreads.Run(2, own =>
        {
            using var data = RankTrainingTests.Data(folder, own.Rank == 0 ? "rows.npy" : "others.npy");
            using var run = TrainingRun.New(data, Spec, Config, BackendKind.Cpu, ranks: own, settings: Shared);
            run.Open();
            run.Begin(_ => { });
            run.Runner.Train(null, new RecordingObserver());
        }));
        Assert.Contains("the ranks read different rows before the first step: their data files differ", e.Message);
    }

    /// <summary>Devices gather the rows of a batch from their ranks, in launched and in recorded steps.</summary>
    [Theory, InlineData(2, 0), InlineData(3, 17)]
    public void DevicesGatherTheRowsOfABatch(int ranks, int seed)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var config = new TrainConfig { BatchRows = 16, Vectors = 16 * 12, LearningRate = 3e-3f };
        var random = new Random(4);
        var rows = Enumerable.Range(0, 100 * Width).Select(_ => random.NextSingle() - 0.5f).ToArray();

        byte[][][] Train(ulong schedule, bool shared) => EmulatorRanks.Run(ranks, (8, 0), schedule, rank =>
        {
            using var source = ActivationSource.Of(MemoryMarshal.AsBytes(rows.AsSpan()).ToArray(), Width,
                InputType.Float32);
            var shard = new ShardPlan(rank.Collective, Spec, SumOrder.Ordered) { SharedReading = shared };
            using var backend = new KernelBackend(rank.OpenDevice(), Spec, config, InputType.Float32, ownsDevice: true,
                shard: shard);
            using var start = new TrainingStart(source, 100, Spec, config).Weights(Spec, config, shard);
            backend.SetParameters(start);
            new Trainer(backend, source, 100, new(1, 1), null, new RecordingObserver())
                .Run(new(0, default, null, null), CancellationToken.None);
            return States.Of(backend);
        });
        foreach (var (expected, actual) in Train(0, shared: false).Zip(Train((ulong)seed, shared: true)))
            States.AssertSame(expected, actual);
    }

    [Fact]
    public void APoolOfRowsIsRefused()
    {
        using var alone = new SingleCollective();
        var e = Assert.Throws<SaeException>(() => RankRules.CheckPool(new() { DevicePool = 1 << 20 },
            new(alone, Spec) { SharedReading = true }));
        Assert.Contains("DevicePool = 1048576: ranks that each read a share of a batch have no pool", e.Message);
        RankRules.CheckPool(new() { DevicePool = 1 << 20 }, new(alone, Spec));
        RankRules.CheckPool(new(), new(alone, Spec) { SharedReading = true });
    }

    /// <summary>Ranks fill their slots at different times, so a statement on a slot must not outlive its batch: ranks
    /// would exchange different numbers of batches.</summary>
    [Fact]
    public void OtherWorkFindsNoSharesInTheSlots()
    {
        using var source = ActivationSource.Of(new byte[100 * Width * sizeof(float)], Width, InputType.Float32);
        RankThreads.Run(2, own =>
        {
            using var backend = new CpuBackend(Spec, Config, InputType.Float32, 1,
                new(own, Spec) { SharedReading = true });
            using (var feeder = new BatchFeeder(source, 100, backend, Config))
            {
                var slot = feeder.Next(out _);
                feeder.Taps[0].Aside(() => Assert.False(backend.IsShare(0) || backend.IsShare(1)));
                Assert.True(backend.IsShare(slot));
            }
            Assert.False(backend.IsShare(0) || backend.IsShare(1));
        });
    }

    /// <summary>A slot of other work between two batches, such as an evaluation, holds all rows.</summary>
    [Fact]
    public void ASlotIsAShareForOneStep()
    {
        using var alone = new SingleCollective();
        using var backend = new CpuBackend(Spec, Config, InputType.Float32, 1, new(alone, Spec));
        backend.SetShare(1, true);
        Assert.True(backend.IsShare(1) && !backend.IsShare(0));
        using var parameters = new SaeParameters(Spec);
        backend.SetParameters(parameters);
        backend.InputSlot(1).Clear();
        new SaeStep(backend).Evaluate(1, new() { InputScale = 1 });
        Assert.False(backend.IsShare(1));
    }
}
