using System.Runtime.InteropServices;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Backends.Kernels;
using CudaSae.Bench.Feed;
using CudaSae.Feeding;
using CudaSae.Lab.Verification;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Runs;
using CudaSae.Training;
using Xunit;

namespace CudaSae.Tests;

/// <summary>Training rows in device memory, on the emulator: the same batches and bits as through the host.</summary>
[Collection("alone")]
public class PoolTests
{
    const int Width = 16, Rows = 200, Steps = 16;

    static readonly SaeSpec spec = new() { InputWidth = Width, Latents = 32, Selection = new Selection.TopK(4) };

    /// <summary>An epoch and a half, in windows of 40 rows where there are any; rows are read again by the dense check
    /// and by resampling meanwhile.</summary>
    static TrainConfig Config(bool windows) => new()
    {
        BatchRows = 16, Vectors = 16 * Steps, LogEvery = 5, ValidateEvery = 6, ShuffleWindow = windows ? 40
            : 0, NonFinite = NonFiniteRows.Skip,
        Resampling = new(5, 15, DeadAfterSteps: 2, Inputs: 32, RecoverySteps: 2),
    };

    static PoolPlan Plan(bool windows) =>
        new(windows ? 80 : Rows, Width * sizeof(float), !windows)
        {
            Readers = 3, PieceBytes = 11 * Width * sizeof(float)
        };

    static string File(TemporaryFolder folder, int rows = Rows, Func<int, bool>? bad = null)
    {
        var path = NpyRows.Write(folder["x.npy"], rows, Width);
        using var stream = System.IO.File.OpenWrite(path);
        for (var row = 0; row < rows; row++)
        {
            if (bad is null || !bad(row)) continue;
            stream.Position = stream.Length - ((rows - row) * Width - 5) * sizeof(float);
            stream.Write(BitConverter.GetBytes(float.NaN));
        }
        return path;
    }

    /// <summary>Weights, moments and counters after a run, and the rows that it left out.</summary>
    static (byte[] State, long Skipped) Train(ActivationSource source, TrainConfig config, PoolPlan pool,
        string? folder = null, RecordingObserver? watch = null, CancellationTokenSource? stop = null,
        bool resume = false)
    {
        var start = new TrainingStart(source, source.Rows, spec, config);
        using var runner = new Runner(new KernelBackend(Targets.OpenEmulator(), spec, config, source.Type,
            ownsDevice: true, pool),
            source, source.Rows, start.Scale);
        Assert.Equal(pool.Rows > 0,
            runner.Backend.Plan.Parts.Any(part => part.Name == pool.Name && part.Bytes == pool.Bytes));
        if (resume) runner.Resume(folder!, null);
        else runner.Begin(start);
        runner.Train(folder, watch ?? new(), stop?.Token ?? CancellationToken.None);
        return (States.Bytes(runner.Backend), runner.SkippedRows);
    }

    /// <summary>With rows that are left out, and through a checkpoint in mid-window: several schedules of the emulated
    /// streams, several threads that read.</summary>
    [Theory]
    [InlineData(0, true)]
    [InlineData(7, true)]
    [InlineData(7, false)]
    public void PoolChangesNoBit(ulong seed, bool windows)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([File(folder, bad: row => row % 13 == 4)]);
        Targets.Emulator.SetSeed(seed);
        var config = Config(windows);
        var host = Train(source, config, default);
        var watch = new RecordingObserver();
        var pooled = Train(source, config, Plan(windows), watch: watch);
        Assert.All(watch.Reports, m => Assert.True(m.InputWaitMs >= 0 && m.FeederWaitMs >= 0));
        Assert.True(host.State.AsSpan().SequenceEqual(pooled.State), "a pool changed the weights");
        // 16 of 200; those of batches that no step took were counted too
        Assert.InRange(pooled.Skipped, Steps * 16 * 16 / 184 - 5, Steps * 16 * 16 / 184 + 8);
        using var stop = new CancellationTokenSource();
        Train(source, config, Plan(windows), folder["run"], RecordingObserver.CancelsAfterStep(stop, 9), stop);
        var resumed = Train(source, config, Plan(windows), folder["run"], resume: true);
        Assert.True(host.State.AsSpan().SequenceEqual(resumed.State), "a resumed run with a pool has other weights");
    }

    /// <summary>Sixteen uploads under way when a step on their rows begins, and sixteen more over them before it has
    /// been waited for: it sees the first, as it does through an input slot.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    public void AStepWaitsForItsRowsAndUploadsForTheStep(ulong seed)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        Targets.Emulator.SetSeed(seed);
        var problem = new SmallProblem(16, Width, 32, 4);
        using var parameters = problem.Parameters;
        var rowBytes = Width * sizeof(float);
        using IBackend backend = new KernelBackend(Targets.OpenEmulator(), problem.Spec, problem.Config,
            InputType.Float32, ownsDevice: true, new(32, rowBytes, true) { Readers = 8, PieceBytes = 2 * rowBytes });
        backend.SetParameters(parameters);
        var (pool, step, scalars) = (backend.Pool!, new SaeStep(backend), problem.Scalars(1));
        byte[][] rows = [.. new[] { 0, 1, 2 }.Select(_ => MemoryMarshal.AsBytes<float>(problem.Batch()).ToArray())];
        float[] direct = new float[16], pooled = new float[16];

        int[] order = [.. Enumerable.Range(0, 16).Select(b => 5 * b % 16)];
        for (var b = 0; b < 16; b++)
            rows[0].AsSpan(order[b] * rowBytes, rowBytes).CopyTo(backend.InputSlot(0)[(b * rowBytes)..]);
        step.Evaluate(0, scalars);
        backend.ReadRowErrors(direct);

        void Fill(byte[] first, byte[] second)
        {
            pool.BeginFill();
            for (var piece = 15; piece >= 0; piece--)
            {
                (piece < 8 ? first : second).AsSpan(piece % 8 * 2 * rowBytes, 2 * rowBytes).CopyTo(pool.Piece(piece));
                pool.Upload(piece, 2 * piece, 2);
            }
            pool.EndFill();
        }

        Fill(rows[0], rows[1]);
        order.CopyTo(MemoryMarshal.Cast<byte, int>(pool.InputSlot(1)));
        step.Evaluate(IRowPool.FirstSlot + 1, scalars);
        Fill(rows[2], rows[2]);
        backend.ReadRowErrors(pooled);
        Assert.Equal(direct, pooled);
    }

    /// <summary>The lists name, place by place, the order's finite rows, over several epochs, and from any
    /// cursor.</summary>
    [Theory]
    [InlineData(true, 0)]
    [InlineData(true, 123)]
    [InlineData(false, 77)]
    public void ListsNameTheOrdersRows(bool windows, long position)
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([File(folder, bad: row => row % 5 == 2)]);
        var config = Config(windows);
        using var pool = new MemoryPool(Plan(windows), 16);
        using var feeder = new BatchFeeder(source, Rows, [(pool, 0)], pool, 1, config, new(2, position));
        Assert.True(feeder.IsPooled);
        var cursor = new RowCursor(2, position);
        var row = new byte[source.RowBytes];
        for (var batch = 0; batch < 60; batch++)
        {
            var slot = feeder.Next(out var after) - IRowPool.FirstSlot;
            foreach (var place in MemoryMarshal.Cast<byte, int>(pool.InputSlot(slot)))
            {
                do
                {
                    source.Read(RowOrders.Of(config, cursor.Epoch, Rows, source.RowBytes)[cursor.Position], row);
                    cursor = cursor.Position + 1 < Rows ? cursor with { Position = cursor.Position + 1 }
                        : new(cursor.Epoch + 1, 0);
                }
                while (!Finite.All(row, source.Type));
                Assert.True(pool.Row(place).SequenceEqual(row), $"batch {batch}, place {place}");
            }
            Assert.Equal(cursor, after);
            feeder.Release();
        }
    }

    /// <summary>A pool in host memory.</summary>
    sealed class MemoryPool(PoolPlan plan, int batchRows) : IRowPool, IDisposable
    {
        readonly byte[] rows = new byte[plan.Bytes];
        readonly byte[][] pieces = [.. Enumerable.Range(0, 2 * plan.Readers)
            .Select(_ => new byte[plan.PieceRows * plan.RowBytes])],
            slots = [new byte[4 * batchRows], new byte[4 * batchRows]];

        public PoolPlan Plan => plan;
        public ReadOnlySpan<byte> Row(int place) => rows.AsSpan(place * plan.RowBytes, plan.RowBytes);
        public Span<byte> InputSlot(int slot) => slots[slot];
        public void WaitForSlot(int slot) { }
        public Span<byte> Piece(int piece) => pieces[piece];
        public void BeginFill() { }
        public void Upload(int piece, long place, int count) =>
            pieces[piece].AsSpan(0, count * plan.RowBytes).CopyTo(rows.AsSpan((int)place * plan.RowBytes));
        public void EndFill() { }
        public void Drain() { }
        public void Dispose() { }
    }

    /// <summary>A row that is not finite stops a run when it is its turn, by its place in its file.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ABadRowStopsWithItsPlace(bool windows)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([File(folder, bad: row => row == 137)]);
        Targets.Emulator.SetSeed(0);
        AssertOneLine("x.npy, row 137 holds NaN or infinity",
            () => Train(source, Config(windows) with { NonFinite = NonFiniteRows.Stop }, Plan(windows)));
    }

    /// <summary>So many bad rows that a batch's would lie in three windows: refused, and no hang.</summary>
    [Fact]
    public void WindowsWithoutABatchAreRefused()
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([File(folder, bad: row => row % 20 != 0)]);
        using var pool = new MemoryPool(Plan(true), 16);
        using var feeder = new BatchFeeder(source, Rows, [(pool, 0)], pool, 1, Config(true), default);
        AssertOneLine("so many rows hold NaN or infinity", () => feeder.Next(out _));
    }

    /// <summary>A file that is cut under a run's readers is one line, and the checkpoint of the last good step
    /// stays.</summary>
    [Fact]
    public void AShortenedFileIsOneLine()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        var path = File(folder);
        using var source = ActivationSource.Open([path]);
        Targets.Emulator.SetSeed(3);
        var config = Config(true) with { CheckpointEvery = 1 };
        var cut = new RecordingObserver
        {
            OnStep = step =>
            {
                if (step != 6) return;
                using var writer = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
                writer.SetLength(4096);
            },
        };
        var failure = Assert.Throws<SaeException>(() => Train(source, config, Plan(true), folder["run"], cut));
        Assert.Equal(SaeErrorKind.Files, failure.Kind);
        Assert.Contains($"{path} was shortened from", failure.Message);
        Assert.NotEmpty(Directory.GetFiles(folder["run/checkpoint"]));
    }

    /// <summary>An upload that fails in a reader's thread is one line; everything is given back.</summary>
    [Theory]
    [InlineData("cuMemcpyHtoDAsync", 700)]
    [InlineData("cuMemAlloc", 2)]
    public void AFailedUploadIsOneLine(string call, int code)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([File(folder)]);
        var emulator = Targets.Emulator;
        emulator.SetSeed(1);
        var (allocations, handles) = (emulator.LiveAllocations, emulator.LiveHandles);
        foreach (var after in (int[])[0, 1, 30])
        {
            if (call == "cuMemAlloc" && after > 2) continue;
            emulator.FailNext(call, code, after);
            var failure = Assert.ThrowsAny<SaeException>(() => Train(source, Config(true), Plan(true)));
            Assert.Contains($"CUDA error {code} (", failure.Message);
            emulator.Forgive();
            Assert.Equal((allocations, handles), (emulator.LiveAllocations, emulator.LiveHandles));
        }
    }

    /// <summary>A run that ends, or shares its feeder, while its readers wait for room: it does not wait for
    /// them.</summary>
    [Fact]
    public void ASharedRunAloneMayHaveAPool()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([File(folder)]);
        Targets.Emulator.SetSeed(2);
        var config = Config(true) with { ShuffleWindow = 32 };
        var plan = Plan(true) with { Rows = 2 * WindowPermutation.MostRows(Rows, 32) };
        var start = new TrainingStart(source, source.Rows, spec, config);
        var runner = new Runner(new KernelBackend(Targets.OpenEmulator(), spec, config, source.Type, ownsDevice: true,
            plan),
            source, source.Rows, start.Scale);
        runner.Begin(start);
        var ended = false;
        SharedRun[] alone = [new(runner, null, new RecordingObserver())];
        var runs = new SharedRuns(source, source.Rows, alone, run => ended = true, (_, e) => throw e);
        Assert.True(runs.Run(CancellationToken.None));
        runner.Dispose();
        Assert.True(ended);
    }

    /// <summary>What is planned for how much memory.</summary>
    [Fact]
    public void PlansAreWholeWindowsOrNone()
    {
        var config = new TrainConfig { BatchRows = 16, Vectors = 10_000, ShuffleWindow = 1000 };
        Assert.Equal((5000, true), Of(config, 5000, 1L << 30));
        Assert.Equal((2000, false), Of(config, 5000, 400_000)); // four fifths of what is free: 3200 rows
        Assert.Equal((0, false), Of(config, 5000, 200_000));
        Assert.Equal((2000, false), Of(config with { Vectors = 4000 }, 5000, 1L << 30));         // not each row is seen
        Assert.Equal((0, false), Of(config with { Vectors = 4000, ShuffleWindow = 0 }, 5000, 1L << 30));
        Assert.Equal((5000, true), Of(config with { Vectors = 4000, DevicePool = 500_000 }, 5000, 0));
        Assert.Equal((0, false), Of(config with { DevicePool = 0 }, 5000, 1L << 30));
        Assert.Equal((0, false), Of(config, 0, 1L << 30));
        AssertOneLine("a device pool of 97.7 KiB is too small: a pool of two windows of 1000 training rows "
            + "takes 195.3 KiB", () => Of(config with { DevicePool = 100_000 }, 5000, 1L << 30));

        static (long, bool) Of(TrainConfig config, long rows, long free)
        {
            var plan = PoolPlan.For(config, rows, 100, free);
            Assert.Equal(plan.Rows > 0, plan.Serves(config, rows, 100));
            return (plan.Rows, plan.Whole);
        }
    }

    /// <summary>Rows of the host's batches are those of the order, however many threads read them.</summary>
    [Fact]
    public void ThreadsThatGatherChangeNoBatch()
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([File(folder, 3000, row => row % 7 == 3)]);
        var config = Config(true) with { BatchRows = 1000, ShuffleWindow = 2000 };
        byte[][] slots = [new byte[1000 * source.RowBytes], new byte[1000 * source.RowBytes]];
        using HostBatches one = new(source, 3000, config, default, 1), four = new(source, 3000, config, default, 4);
        for (var batch = 0; batch < 6; batch++)
        {
            one.Make(slots[0]);
            four.Make(slots[1]);
            Assert.Equal(slots[0], slots[1]);
            Assert.Equal((one.Cursor, one.Skipped), (four.Cursor, four.Skipped));
        }
    }

    /// <summary>The meter counts what was read and handed out.</summary>
    [Fact]
    public void MeterCountsWhatIsFed()
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([File(folder, 3000)]);
        var config = Config(true) with { BatchRows = 100, ShuffleWindow = 1000 };
        Assert.Equal(3000L * source.RowBytes, FeedMeter.Read(source, 3000, 2, check: true).Bytes);
        var gathered = FeedMeter.Gather(source, 3000, config, 2, 40);
        Assert.Equal((4000L, 4000L * source.RowBytes), (gathered.Rows, gathered.Bytes));
        var pooled = FeedMeter.Pool(source, 3000, config, 2, 40);
        Assert.Equal(4000, pooled.Rows);
        Assert.InRange(pooled.Bytes, 4000L * source.RowBytes, 7000L * source.RowBytes);
        Assert.True(pooled.Time > TimeSpan.Zero && pooled.GigabytesPerSecond > 0);
    }
}
