using System.Diagnostics;
using System.Runtime.InteropServices;
using CudaSae.Numerics;

namespace CudaSae.Cli;

/// <summary>The speed of this machine on plain work: a dense product from first-level cache, and a large copy. Steps
/// are compared with the two.</summary>
/// <param name="GemmGflops">10⁹ float operations a second, all cores.</param>
/// <param name="CopyGigabytes">10⁹ bytes read and written a second, all cores.</param>
readonly record struct Ceilings(double GemmGflops, double CopyGigabytes)
{
    const int TilesPerPart = 2000, Depth = 256, CopyBytes = 64 << 20;

    /// <summary>Measures the CPU.</summary>
    /// <param name="repeats">Number of measurements; the best one counts. Five take about a quarter of a
    /// second.</param>
    public static unsafe Ceilings MeasureCpu(int repeats = 5)
    {
        using var workers = new Workers(Environment.ProcessorCount);
        var parts = workers.Count;
        using var operands = new Matrix(parts * 64L, 1024);
        using Matrix from = new(CopyBytes / 4096, 1024), to = new(CopyBytes / 4096, 1024);
        var band = CopyBytes / parts;
        double gemm = 0, copy = 0;
        for (var repeat = 0; repeat < repeats; repeat++)
        {
            var start = Stopwatch.GetTimestamp();
            workers.Run(parts, (part, _) => Multiply(operands.Data + part * 64L * 1024));
            gemm = Math.Max(gemm,
                2.0 * Gemm.TileRows * Gemm.TileColumns * Depth * TilesPerPart * parts
                    / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9);
            start = Stopwatch.GetTimestamp();
            workers.Run(parts,
                (part, _) =>
                    NativeMemory.Copy((byte*)from.Data + (long)part * band, (byte*)to.Data + (long)part * band,
                        (nuint)band));
            copy = Math.Max(copy, 2.0 * band * parts / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9);
        }
        return new(gemm, copy);
    }

    static unsafe void Multiply(float* memory)
    {
        var rows = stackalloc float*[Gemm.TileRows];
        var init = stackalloc float[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++)
        {
            rows[r] = memory + 32 * 1024 + r * Depth;
            init[r] = 0;
        }
        for (var tile = 0; tile < TilesPerPart; tile++)
            Gemm.Tile(rows, memory, Gemm.TileColumns, Depth, init, memory + 48 * 1024);
    }
}
