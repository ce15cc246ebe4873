using System.Runtime.InteropServices;
using CudaSae.Backends.Kernels;
using CudaSae.Bench.Feed;
using CudaSae.Feeding;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;
using static CudaSae.Tests.PoolProblem;

namespace CudaSae.Tests;

/// <summary>Training rows in device memory, on the emulator, give the same batches and bits as rows that pass through
/// the host.</summary>
[Collection("emulator")]
public class PoolTests
{
    /// <summary>Covers skipped rows, a checkpoint in the middle of a window, several schedules of the emulated streams,
    /// and several reading threads.</summary>
    [Theory]
    [InlineData(0, true)]
    [InlineData(7, true)]
    [InlineData(7, false)]
    public void PoolChangesNoBit(ulong seed, bool windows)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([DataFile(folder, bad: row => row % 13 == 4)]);
        Targets.Emulator.SetSeed(seed);
        var config = Config(windows);
        var host = Train(source, config, default);
        var watch = new RecordingObserver();
        var pooled = Train(source, config, Plan(windows), watch: watch);
        Assert.All(watch.Reports, m => Assert.True(m.InputWaitMs >= 0 && m.FeederWaitMs >= 0));
        Assert.True(host.State.AsSpan().SequenceEqual(pooled.State), "a pool changed the weights");
        // 16 of 200 rows; skipped rows of batches that no step used were counted too
        Assert.InRange(pooled.Skipped, Steps * 16 * 16 / 184 - 5, Steps * 16 * 16 / 184 + 8);
        using var stop = new CancellationTokenSource();
        Train(source, config, Plan(windows), folder["run"], RecordingObserver.CancelsAfterStep(stop, 9), stop);
        var resumed = Train(source, config, Plan(windows), folder["run"], resume: true);
        Assert.True(host.State.AsSpan().SequenceEqual(resumed.State), "a resumed run with a pool has other weights");
    }

    /// <summary>Sixteen uploads are pending when a step on their rows begins, and sixteen more overwrite them before
    /// the step is awaited. The step reads the first rows, as it does through an input slot.</summary>
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
            InputType.Float32, ownsDevice: true,
            pool: new(32, rowBytes, true) { Readers = 8, PieceBytes = 2 * rowBytes });
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

    /// <summary>The lists name the finite rows in order, place by place, over several epochs, and from any
    /// cursor.</summary>
    [Theory]
    [InlineData(true, 0)]
    [InlineData(true, 123)]
    [InlineData(false, 77)]
    public void ListsNameTheRowsInOrder(bool windows, long position)
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([DataFile(folder, bad: row => row % 5 == 2)]);
        var config = Config(windows);
        using var pool = new MemoryPool(Plan(windows), 16);
        using var feeder = new BatchFeeder(source, RowCount, [(pool, 0)], pool, 1, config, new(2, position));
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
                    source.Read(RowOrders.Of(config, cursor.Epoch, RowCount, source.RowBytes)[cursor.Position], row);
                    cursor = cursor.Position + 1 < RowCount ? cursor with { Position = cursor.Position + 1 }
                        : new(cursor.Epoch + 1, 0);
                }
                while (!Finite.All(row, source.Type));
                Assert.True(pool.Row(place).SequenceEqual(row), $"batch {batch}, place {place}");
            }
            Assert.Equal(cursor, after);
            feeder.Release();
        }
    }

    /// <summary>A row that is not finite stops a run when its turn comes, and the error gives its place in its
    /// file.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ABadRowStopsTheRunAndIsLocated(bool windows)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([DataFile(folder, bad: row => row == 137)]);
        Targets.Emulator.SetSeed(0);
        AssertOneLine("x.npy, row 137 holds NaN or infinity",
            () => Train(source, Config(windows) with { NonFinite = NonFiniteRows.Stop }, Plan(windows)));
    }

    /// <summary>So many rows are bad that a batch would span three windows: the feeder refuses it and does not
    /// hang.</summary>
    [Fact]
    public void WindowsWithoutABatchAreRefused()
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([DataFile(folder, bad: row => row % 20 != 0)]);
        using var pool = new MemoryPool(Plan(true), 16);
        using var feeder = new BatchFeeder(source, RowCount, [(pool, 0)], pool, 1, Config(true), default);
        AssertOneLine("less than one batch of finite rows", () => feeder.Next(out _));
    }

    /// <summary>A file that is shortened during a run gives one line, and the checkpoint of the last good step is
    /// kept.</summary>
    [Fact]
    public void AShortenedFileIsReportedInOneLine()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        var path = DataFile(folder);
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

    /// <summary>An upload that fails in a reader's thread gives one line, and everything is freed.</summary>
    [Theory]
    [InlineData("cuMemcpyHtoDAsync", 700)]
    [InlineData("cuMemAlloc", 2)]
    public void AFailedUploadIsReportedInOneLine(string call, int code)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([DataFile(folder)]);
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

    /// <summary>A run that ends, or shares its feeder, while its readers wait for space does not wait for
    /// them.</summary>
    [Fact]
    public void ASingleSharedRunMayHaveAPool()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([DataFile(folder)]);
        Targets.Emulator.SetSeed(2);
        var config = Config(true) with { ShuffleWindow = 32 };
        var plan = Plan(true) with { Rows = 2 * WindowPermutation.MostRows(RowCount, 32) };
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

    /// <summary>The plans for several amounts of memory.</summary>
    [Fact]
    public void PlansHoldWholeWindowsOrNothing()
    {
        var config = new TrainConfig { BatchRows = 16, Vectors = 10_000, ShuffleWindow = 1000 };
        Assert.Equal((5000, true), Of(config, 5000, 1L << 30));
        Assert.Equal((2000, false), Of(config, 5000, 400_000)); // four fifths of the free memory: 3200 rows
        Assert.Equal((0, false), Of(config, 5000, 200_000));
        // not every row is read
        Assert.Equal((2000, false), Of(config with { Vectors = 4000 }, 5000, 1L << 30));
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

    /// <summary>The host's batches hold the rows in order for any number of reading threads.</summary>
    [Fact]
    public void GatheringThreadsChangeNoBatch()
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([DataFile(folder, 3000, row => row % 7 == 3)]);
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

    /// <summary>The meter counts the rows that were read and handed out.</summary>
    [Fact]
    public void TheMeterCountsTheRowsThatAreFed()
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([DataFile(folder, 3000)]);
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
