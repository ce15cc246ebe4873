using CudaSae.Backends.Kernels;

namespace CudaSae.Tests;

/// <summary>Data, plans and runs that the tests of pools share.</summary>
static class PoolProblem
{
    public const int Width = 16, RowCount = 200, Steps = 16;

    public static readonly SaeSpec spec = new() { InputWidth = Width, Latents = 32, Selection = new Selection.TopK(4) };

    /// <summary>An epoch and a half, in windows of 40 rows where windows are used. The dense check and resampling read
    /// rows again during the run.</summary>
    public static TrainConfig Config(bool windows) => new()
    {
        BatchRows = 16, Vectors = 16 * Steps, LogEvery = 5, ValidateEvery = 6, ShuffleWindow = windows ? 40
            : 0, NonFinite = NonFiniteRows.Skip,
        Resampling = new(5, 15, DeadAfterSteps: 2, Inputs: 32, RecoverySteps: 2),
    };

    public static PoolPlan Plan(bool windows) =>
        new(windows ? 80 : RowCount, Width * sizeof(float), !windows)
        {
            Readers = 3, PieceBytes = 11 * Width * sizeof(float)
        };

    public static string DataFile(TemporaryFolder folder, int rows = RowCount, Func<int, bool>? bad = null)
    {
        var path = NpyRows.Write(folder["x.npy"], rows, Width);
        using var stream = File.OpenWrite(path);
        for (var row = 0; row < rows; row++)
        {
            if (bad is null || !bad(row)) continue;
            stream.Position = stream.Length - ((rows - row) * Width - 5) * sizeof(float);
            stream.Write(BitConverter.GetBytes(float.NaN));
        }
        return path;
    }

    /// <summary>Returns weights, moments and counters after a run, and the number of rows that it skipped.</summary>
    public static (byte[] State, long Skipped) Train(ActivationSource source, TrainConfig config, PoolPlan pool,
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

    /// <summary>A pool in host memory.</summary>
    public sealed class MemoryPool(PoolPlan plan, int batchRows) : IRowPool, IDisposable
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
}
