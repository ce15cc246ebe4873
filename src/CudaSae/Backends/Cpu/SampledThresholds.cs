using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The first threshold of each row: a bound that k to 1.25 k pre-activations of the first latents reach.
/// Without it the first two hundred candidates of a row each cost an unpredictable branch, and three cuts.</summary>
sealed unsafe class SampledThresholds : CpuPart
{
    readonly RowFilter filter;
    readonly DenseProducts products;
    readonly float* preActs;        // [workers, Count, 48]

    public SampledThresholds(CpuContext context, RowFilter filter) : base(context)
    {
        (this.filter, products) = (filter, context.Products);
        var wanted = Math.Clamp((16 * k + 63) & ~63, 256, 1024);
        Count = spec.Selection is Selection.AbsTopK || wanted < 4 * k || n < 2 * wanted ? 0 : wanted;
        preActs = context.Arena.Take<float>("first pre-activations", (long)workers.Count * Count * Gemm.TileColumns);
    }

    /// <summary>Latents of the sample; 0 for none.</summary>
    public int Count { get; }

    /// <summary>Sets the thresholds of a panel's rows and adds the sample's candidates.</summary>
    /// <param name="thresholds">[panels · 48].</param>
    [SkipLocalsInit]
    public void SetPanel(int panel, float* thresholds, int worker)
    {
        var z = preActs + (long)worker * Count * Gemm.TileColumns;
        for (var f = 0; f < Count; f += Gemm.TileRows) products.PreActTile(f, n - f, panel, z + f * Gemm.TileColumns);
        var bounds = stackalloc float[Gemm.TileColumns];
        var limits = stackalloc float[Gemm.TileColumns];
        var kept = filter.Kept;
        for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
        {
            var bound = Lanes.Bound(z + lane, Count, kept, kept / 4, float.MinValue, out var reached);
            bound.Store(bounds + lane);
            Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(reached, Vector512.Create(kept)).AsSingle(), bound,
                Vector512.Create(float.NegativeInfinity)).Store(limits + lane);
        }
        int row = panel * Gemm.TileColumns, rows = Math.Min(Gemm.TileColumns, B - row);
        AppendReaching(z, bounds, row, ulong.MaxValue >> 64 - rows, worker);
        for (var lane = 0; lane < rows; lane++)
            thresholds[row + lane] = MathF.Max(thresholds[row + lane], limits[lane]);
    }

    /// <summary>Adds the pre-activations that reach their row's bound.</summary>
    /// <param name="inside">A bit for each lane that holds a row of the batch.</param>
    void AppendReaching(float* z, float* bounds, int row, ulong inside, int worker)
    {
        Vector512<float> bound0 =
            Vector512.Load(bounds), bound1 = Vector512.Load(bounds + 16), bound2 = Vector512.Load(bounds + 32);
        for (var f = 0; f < Count; f++, z += Gemm.TileColumns)
        {
            var reach = Vector512.GreaterThanOrEqual(Vector512.Load(z), bound0).ExtractMostSignificantBits()
                | Vector512.GreaterThanOrEqual(Vector512.Load(z + 16), bound1).ExtractMostSignificantBits() << 16
                | Vector512.GreaterThanOrEqual(Vector512.Load(z + 32), bound2).ExtractMostSignificantBits() << 32;
            for (reach &= inside; reach != 0; reach &= reach - 1)
            {
                var at = BitOperations.TrailingZeroCount(reach);
                filter.Append(row + at, f, z[at], worker);
            }
        }
    }
}
