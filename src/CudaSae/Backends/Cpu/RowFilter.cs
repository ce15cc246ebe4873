using System.Numerics;
using System.Runtime.Intrinsics;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The k largest pre-activations of each row. A row keeps the candidates above its threshold, which is always
/// the k-th largest that the row has met, so a rejected one is never among the k largest. Latents come in ascending
/// order, so an equal pre-activation of a later latent is rightly rejected.</summary>
sealed unsafe class RowFilter : CpuPart
{
    readonly SampledThresholds sampled;
    readonly int capacity, scratchLength;
    readonly ulong* keys;                   // [B, capacity]
    readonly int* counts, overflows;        // [B]; [workers]
    readonly float* thresholds;             // [panels · 48] only z above it is a candidate
    readonly ulong* scratch;                // [workers, scratchLength]
    readonly float* wEnc, bEnc, centered;
    readonly bool byMagnitude;

    public RowFilter(CpuContext context, Candidates candidates) : base(context)
    {
        var (arena, buffers) = (context.Arena, context.Buffers);
        keys = candidates.Keys;
        counts = candidates.Count;
        overflows = candidates.Overflows;
        wEnc = buffers.WEnc;
        bEnc = buffers.BEnc;
        centered = buffers.Centered;
        capacity = candidates.Capacity;
        scratchLength = Math.Max(16, capacity);
        byMagnitude = spec.Selection is Selection.AbsTopK;
        sampled = new(context, this);
        thresholds = arena.Take<float>("row limits", lanes);
        scratch = arena.Take<ulong>("selection scratch", (long)workers.Count * scratchLength);
    }

    /// <summary>Candidates that selection keeps of a row in this step.</summary>
    public int Kept { get; set; }

    /// <summary>Resets the rows of the panels [first, last) and sets their first thresholds. Returns the latents that
    /// this has filtered.</summary>
    public int Begin(int first, int last, int worker)
    {
        for (var b = first * Gemm.TileColumns; b < last * Gemm.TileColumns; b++)
            thresholds[b] = b < B ? float.NegativeInfinity : float.PositiveInfinity;
        if (sampled.Count > 0)
            for (var panel = first; panel < last; panel++) sampled.SetPanel(panel, thresholds, worker);
        return sampled.Count;
    }

    /// <summary>Adds the candidates of a tile, latents [latent, latent + count) and rows [row, row + 48).</summary>
    public void Filter(float* tile, int latent, int count, int row, int worker)
    {
        var limits = thresholds + row;
        Vector512<float> limit0 =
            Vector512.Load(limits), limit1 = Vector512.Load(limits + 16), limit2 = Vector512.Load(limits + 32);
        for (var r = 0; r < count; r++, tile += Gemm.TileColumns)
        {
            Vector512<float> v0 = Vector512.Load(tile), v1 = Vector512.Load(tile + 16), v2 = Vector512.Load(tile + 32);
            if (byMagnitude) (v0, v1, v2) = (Vector512.Abs(v0), Vector512.Abs(v1), Vector512.Abs(v2));
            var above = Vector512.GreaterThan(v0, limit0).ExtractMostSignificantBits()
                | Vector512.GreaterThan(v1, limit1).ExtractMostSignificantBits() << 16
                | Vector512.GreaterThan(v2, limit2).ExtractMostSignificantBits() << 32;
            if (above == 0) continue;
            for (; above != 0; above &= above - 1)
            {
                var at = BitOperations.TrailingZeroCount(above);
                Append(row + at, latent + r, tile[at], worker);
            }
            (limit0, limit1, limit2) =
                (Vector512.Load(limits), Vector512.Load(limits + 16), Vector512.Load(limits + 32));
        }
    }

    /// <summary>Adds one candidate; where the row is full, first cuts it back to the k largest.</summary>
    public void Append(int b, int latent, float a, int worker)
    {
        var row = keys + (long)b * capacity;
        if (counts[b] == capacity)
        {
            CutBack(row, b, worker);
            if (!((byMagnitude ? MathF.Abs(a) : a) > thresholds[b])) return;
        }
        row[counts[b]++] = byMagnitude ? CandidateKey.OfMagnitude(a, latent) : CandidateKey.Of(a, latent);
    }

    void CutBack(ulong* row, int b, int worker)
    {
        var least = Largest.Keep(row, counts[b], Kept, scratch + (long)worker * scratchLength);
        counts[b] = Kept;
        // Of equal magnitudes the positive number has the larger key, so where the least is negative a later equal one
        // may still be selected.
        thresholds[b] = byMagnitude && CandidateKey.IsNegative(least)
            ? MathF.BitDecrement(CandidateKey.ValueOf(least)) : CandidateKey.ValueOf(least);
    }

    /// <summary>Reduces the candidates of a row to exactly the k largest.</summary>
    public void Finish(int b, int worker)
    {
        var row = keys + (long)b * capacity;
        if (counts[b] > Kept) CutBack(row, b, worker);
        if (counts[b] < Kept) FillUp(row, b, worker);
    }

    /// <summary>Fewer than k pre-activations lie above −∞: computes all of the row again and sorts them.</summary>
    void FillUp(ulong* row, int b, int worker)
    {
        overflows[worker]++;
        var all = new ulong[n];
        for (var f = 0; f < n; f++)
        {
            var a = bEnc[f];
            for (var i = 0; i < ld; i++)
                a = MathF.FusedMultiplyAdd(wEnc[(long)f * ld + i], centered[(long)b * ld + i], a);
            all[f] = byMagnitude ? CandidateKey.OfMagnitude(a, f) : CandidateKey.Of(a, f);
        }
        Array.Sort(all);
        Array.Reverse(all);
        Array.Sort(all, 0, Kept, CandidateKey.ByLatent);
        for (var j = 0; j < Kept; j++) row[j] = all[j];
        counts[b] = Kept;
    }
}
