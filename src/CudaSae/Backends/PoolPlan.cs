using CudaSae.Activations;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends;

/// <summary>The part of the training data that is kept in device memory.</summary>
/// <param name="Rows">Capacity in rows; 0 for no pool.</param>
/// <param name="RowBytes">Bytes of a raw row.</param>
/// <param name="Whole">Whether the pool holds all training rows; otherwise it holds two windows of them, which
/// alternate.</param>
readonly record struct PoolPlan(long Rows, int RowBytes, bool Whole)
{
    // Part of the free memory that an automatic pool uses; modules, cuBLAS and other programs need the rest.
    const double Share = 0.8;

    /// <summary>Number of threads that read rows from files.</summary>
    public int Readers { get; init; } = ReadersBeside;

    /// <summary>Number of threads that read rows during a device's steps: half of the cores, at most eight.</summary>
    internal static int ReadersBeside => Math.Clamp(Environment.ProcessorCount / 2, 1, 8);

    /// <summary>Bytes of a piece that is read and uploaded at once. Each reader has two, in page-locked
    /// memory.</summary>
    public int PieceBytes { get; init; } = DefaultPieceBytes;

    public const int DefaultPieceBytes = 2 << 20;

    public long Bytes => Rows * RowBytes;

    /// <summary>Capacity of a piece in rows.</summary>
    public int PieceRows => (int)Math.Clamp(PieceBytes / RowBytes, 1, Rows);

    /// <summary>Name of the pool in a memory plan.</summary>
    public string Name =>
        Whole ? $"pool of all {Rows} training rows" : $"pool of two windows of {Rows / 2} training rows";

    /// <summary>Returns whether the pool suits these rows and their order.</summary>
    public bool Serves(TrainConfig config, long rows, int rowBytes) =>
        Rows > 0 && RowBytes == rowBytes
            && Rows >= (Whole ? rows : RowOrders.HasWindows(config, rows)
                ? 2 * WindowPermutation.MostRows(rows, config.ShuffleWindow) : long.MaxValue);

    /// <summary>Returns a pool of all rows if they fit, otherwise of two windows, otherwise none. In automatic mode the
    /// pool holds all rows only for a run that uses each of them.</summary>
    /// <param name="rows">Training rows; 0 for a backend that does not train, or that shares its batches with
    /// others.</param>
    /// <param name="freeBytes">Memory of the device that the run leaves free.</param>
    /// <exception cref="SaeException">The requested bytes do not suffice.</exception>
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
            + $"{MemoryPlan.Format(needed.Bytes)}; give more, a ShuffleWindow of fewer rows, or DevicePool = 0",
            kind: SaeErrorKind.Memory);

        bool Fits(PoolPlan plan) => plan.Bytes <= bytes && plan.Rows <= int.MaxValue;
    }
}
