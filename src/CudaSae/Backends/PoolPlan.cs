using CudaSae.Activations;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends;

/// <summary>How much of the training data lies in device memory.</summary>
/// <param name="Rows">Places for rows; 0 for no pool.</param>
/// <param name="RowBytes">Of a raw row.</param>
/// <param name="Whole">All training rows stay there; otherwise two windows of them take turns.</param>
readonly record struct PoolPlan(long Rows, int RowBytes, bool Whole)
{
    const double Share = 0.8;       // of what is free, by itself: modules, cuBLAS and other programs take some too

    /// <summary>Threads that read rows from files.</summary>
    public int Readers { get; init; } = ReadersBeside;

    /// <summary>Threads that read rows beside a device's steps: half of the cores, eight at most.</summary>
    internal static int ReadersBeside => Math.Clamp(Environment.ProcessorCount / 2, 1, 8);

    /// <summary>Of a piece that is read and uploaded at once; each reader has two, in page-locked memory.</summary>
    public int PieceBytes { get; init; } = DefaultPieceBytes;

    public const int DefaultPieceBytes = 2 << 20;

    public long Bytes => Rows * RowBytes;

    /// <summary>Rows that a piece has room for.</summary>
    public int PieceRows => (int)Math.Clamp(PieceBytes / RowBytes, 1, Rows);

    /// <summary>Its name in a memory plan.</summary>
    public string Name =>
        Whole ? $"pool of all {Rows} training rows" : $"pool of two windows of {Rows / 2} training rows";

    /// <summary>Whether it serves these rows in their order.</summary>
    public bool Serves(TrainConfig config, long rows, int rowBytes) =>
        Rows > 0 && RowBytes == rowBytes
            && Rows >= (Whole ? rows : RowOrders.HasWindows(config, rows)
                ? 2 * WindowPermutation.MostRows(rows, config.ShuffleWindow) : long.MaxValue);

    /// <summary>All rows where they fit, else two windows of them, else none. By itself it takes all of them only for a
    /// run that sees each of them.</summary>
    /// <param name="rows">Training rows; 0 for a backend that trains on none, or shares its batches with
    /// others.</param>
    /// <param name="freeBytes">On the device, beside what the run takes.</param>
    /// <exception cref="SaeException">The bytes that were asked for do not suffice.</exception>
    public static PoolPlan For(TrainConfig config, long rows, int rowBytes, long freeBytes)
    {
        if (config.DevicePool == 0 || rows == 0) return default;
        var auto = config.DevicePool == TrainConfig.AutoPool;
        var bytes = auto ? (long)(Share * Math.Max(0, freeBytes)) : config.DevicePool;
        var windows = RowOrders.HasWindows(config, rows)
            ? new PoolPlan(2 * WindowPermutation.MostRows(rows, config.ShuffleWindow), rowBytes, false) : default;
        var whole = new PoolPlan(rows, rowBytes, true);
        if (Fits(whole) && (!auto || config.Vectors >= rows)) return whole;
        if (windows.Rows > 0 && Fits(windows)) return windows;
        if (auto) return default;
        var needed = windows.Rows > 0 && windows.Bytes < whole.Bytes ? windows : whole;
        throw new SaeException($"a device pool of {MemoryPlan.Format(bytes)} is too small: a {needed.Name} takes "
            + $"{MemoryPlan.Format(needed.Bytes)}; give more, a --shuffle-window of fewer rows, or --device-pool off",
            kind: SaeErrorKind.Memory);

        bool Fits(PoolPlan plan) => plan.Bytes <= bytes && plan.Rows <= int.MaxValue;
    }
}
