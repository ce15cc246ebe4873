using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>encode's beginning: the pre-activations of the first latents are kept for a panel of rows, and a bound that
/// k of them reach, and few more, is each row's first limit. Without it a row's first
/// two hundred candidates each cost an unpredictable branch, and three cuts.</summary>
sealed unsafe partial class CpuBackend
{
    int sample;             // latents that set the first limit; 0 for none
    float* sampleZ;         // [workers, sample, 48]

    void TakeSample()
    {
        var wanted = Math.Clamp((16 * k + 63) & ~63, 256, 1024);
        sample = thresholded || byGroup || byMagnitude || wanted < 4 * k || n < 2 * wanted ? 0 : wanted;
        sampleZ = arena.Take<float>("first pre-activations", (long)workers.Count * sample * Gemm.TileColumns);
    }

    [SkipLocalsInit]
    void SamplePanel(int panel, int worker)
    {
        var z = sampleZ + (long)worker * sample * Gemm.TileColumns;
        var all = new LatentSet(0, n);
        for (var f = 0; f < sample; f += Gemm.TileRows) PreActTile(all, f, panel, z + f * Gemm.TileColumns);
        var bounds = stackalloc float[Gemm.TileColumns];
        var limits = stackalloc float[Gemm.TileColumns];
        for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
        {
            var bound = Lanes.Bound(z + lane, sample, kNow, kNow / 4, float.MinValue, out var reached);
            bound.Store(bounds + lane);
            Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(reached, Vector512.Create(kNow)).AsSingle(), bound,
                Vector512.Create(float.NegativeInfinity)).Store(limits + lane);
        }
        int row = panel * Gemm.TileColumns, rows = Math.Min(Gemm.TileColumns, B - row);
        AppendReaching(z, bounds, row, ulong.MaxValue >> 64 - rows, worker);
        for (var lane = 0; lane < rows; lane++) rowLimit[row + lane] = MathF.Max(rowLimit[row + lane], limits[lane]);
    }

    void AppendReaching(float* z, float* bounds, int row, ulong inside, int worker)
    {
        Vector512<float> bound0 =
            Vector512.Load(bounds), bound1 = Vector512.Load(bounds + 16), bound2 = Vector512.Load(bounds + 32);
        for (var f = 0; f < sample; f++, z += Gemm.TileColumns)
        {
            var reach = Vector512.GreaterThanOrEqual(Vector512.Load(z), bound0)
                .ExtractMostSignificantBits() | Vector512.GreaterThanOrEqual(Vector512.Load(z + 16), bound1)
                .ExtractMostSignificantBits() << 16
                | Vector512.GreaterThanOrEqual(Vector512.Load(z + 32), bound2).ExtractMostSignificantBits() << 32;
            for (reach &= inside; reach != 0; reach &= reach - 1)
            {
                var at = BitOperations.TrailingZeroCount(reach);
                Append(row + at, f, z[at], worker);
            }
        }
    }
}
