using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace CudaSae.Backends.Cpu;

/// <summary>encode: pre-activations exist as tiles of 8 latents × 48 rows only. Each row keeps candidates above a threshold that is
/// always the k-th largest of what the row has seen, so what is left out is never among the k largest; latents come in
/// ascending order, so an equal one that comes later is rightly left out.</summary>
public sealed unsafe partial class CpuBackend
{
    const int LatentBlock = 64;     // rows of WEnc that stay in L2 while the panels pass

    int capacity;                   // candidates a row holds before it is cut back to k
    ulong* candidates;              // [B, capacity] keys in the order of arrival: ascending latent
    int* candidateCount;            // [B]
    float* threshold;               // [panels · 48]
    ulong* selectScratch;           // [workers, capacity]
    int* overflow;                  // [workers] rows that took the exact fallback
    Action<int, int>? encodePart;

    void TakeEncode()
    {
        capacity = Math.Min(n, 3 * k + 64);
        candidates = arena.Take<ulong>("candidates", (long)B * capacity);
        candidateCount = arena.Take<int>("candidate counts", B);
        threshold = arena.Take<float>("row thresholds", (long)panels * Gemm.TileColumns);
        selectScratch = arena.Take<ulong>("selection scratch", (long)workers.Count * Math.Max(capacity, WindowCapacity));
        overflow = arena.Take<int>("fallback counts", workers.Count);
    }

    public void EncodeSelect()
    {
        for (var w = 0; w < workers.Count; w++) overflow[w] = 0;
        workers.Run(Math.Min(workers.Count, panels), encodePart ??= EncodePart);
        for (var w = 0; w < workers.Count; w++) sums.Overflows += overflow[w];
    }

    /// <summary>A contiguous share of the panels against all latents. Rows are independent, so the share's bounds change no bit.</summary>
    [SkipLocalsInit]
    void EncodePart(int part, int worker)
    {
        var parts = Math.Min(workers.Count, panels);
        int first = (int)((long)panels * part / parts), last = (int)((long)panels * (part + 1) / parts);
        for (var b = first * Gemm.TileColumns; b < last * Gemm.TileColumns; b++)
        {
            threshold[b] = b < B ? float.NegativeInfinity : float.PositiveInfinity;
            if (b < B) candidateCount[b] = 0;
        }
        var buffer = stackalloc float[Gemm.TileRows * Gemm.TileColumns + 16];
        var tile = (float*)((nint)(buffer + 15) & ~63);
        var rows = stackalloc float*[Gemm.TileRows];
        var bias = stackalloc float[Gemm.TileRows];
        for (var block = 0; block < n; block += LatentBlock)
            for (var panel = first; panel < last; panel++)
                for (var f = block; f < Math.Min(block + LatentBlock, n); f += Gemm.TileRows)
                {
                    for (var r = 0; r < Gemm.TileRows; r++)
                    {
                        var latent = Math.Min(f + r, n - 1);
                        rows[r] = wEnc + (long)latent * ld;
                        bias[r] = bEnc[latent];
                    }
                    Gemm.Tile(rows, centeredT + (long)panel * ld * Gemm.TileColumns, Gemm.TileColumns, ld, bias, tile);
                    Filter(tile, f, Math.Min(Gemm.TileRows, n - f), panel * Gemm.TileColumns, worker);
                }
        for (var b = first * Gemm.TileColumns; b < Math.Min(last * Gemm.TileColumns, B); b++) Finish(b, worker);
    }

    void Filter(float* tile, int latent, int count, int row, int worker)
    {
        for (var r = 0; r < count; r++, tile += Gemm.TileColumns)
            for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
            {
                var values = Vector512.Load(tile + lane);
                var above = Vector512.GreaterThan(values, Vector512.Load(threshold + row + lane)).ExtractMostSignificantBits();
                for (; above != 0; above &= above - 1)
                {
                    var at = lane + BitOperations.TrailingZeroCount(above);
                    Append(row + at, latent + r, tile[at], worker);
                }
            }
    }

    void Append(int b, int latent, float a, int worker)
    {
        var row = candidates + (long)b * capacity;
        if (candidateCount[b] == capacity)
        {
            CutBack(row, b, worker);
            if (!(a > threshold[b])) return;
        }
        row[candidateCount[b]++] = Key(a, latent);
    }

    /// <summary>Order of the pre-activation above, complement of the latent below: of equal values the lower latent is larger.</summary>
    static ulong Key(float a, int latent)
    {
        if (float.IsNaN(a)) return (uint)~latent;
        var bits = BitConverter.SingleToUInt32Bits(a + 0f);
        return (ulong)((bits & 0x80000000) != 0 ? ~bits : bits | 0x80000000) << 32 | (uint)~latent;
    }

    static float ValueOf(ulong key)
    {
        var bits = (uint)(key >> 32);
        return BitConverter.UInt32BitsToSingle((bits & 0x80000000) != 0 ? bits & 0x7fffffff : ~bits);
    }

    void CutBack(ulong* row, int b, int worker)
    {
        var least = KeepLargest(row, candidateCount[b], k, selectScratch + (long)worker * Math.Max(capacity, WindowCapacity));
        candidateCount[b] = k;
        threshold[b] = ValueOf(least);
    }

    /// <summary>Keeps the k largest keys, in their order; returns the least of them. Keys are distinct.</summary>
    static ulong KeepLargest(ulong* keys, int count, int k, ulong* scratch)
    {
        new ReadOnlySpan<ulong>(keys, count).CopyTo(new(scratch, count));
        var least = Quickselect(scratch, count, count - k);
        var kept = 0;
        for (var i = 0; i < count; i++)
            if (keys[i] >= least) keys[kept++] = keys[i];
        return least;
    }

    /// <summary>The key that stands at <paramref name="rank"/> in ascending order (Hoare 1961, median of three).</summary>
    static ulong Quickselect(ulong* v, int count, int rank)
    {
        int low = 0, high = count - 1;
        while (low < high)
        {
            ulong a = v[low], b = v[(low + high) / 2], c = v[high];
            var pivot = Math.Max(Math.Min(a, b), Math.Min(Math.Max(a, b), c));
            int i = low - 1, j = high + 1;
            while (true)
            {
                while (v[++i] < pivot) { }
                while (v[--j] > pivot) { }
                if (i >= j) break;
                (v[i], v[j]) = (v[j], v[i]);
            }
            if (rank <= j) high = j;
            else low = j + 1;
        }
        return v[rank];
    }

    void Finish(int b, int worker)
    {
        var row = candidates + (long)b * capacity;
        if (candidateCount[b] > k) CutBack(row, b, worker);
        if (candidateCount[b] < k) FillUp(row, b, worker);
        for (var j = 0; j < k; j++)
        {
            var a = ValueOf(row[j]);
            index[b * k + j] = (int)~(uint)row[j];
            value[b * k + j] = a > 0 ? a : 0;
        }
    }

    /// <summary>Fewer than k pre-activations lie above −∞: every one of the row is formed again and sorted.</summary>
    void FillUp(ulong* row, int b, int worker)
    {
        overflow[worker]++;
        var all = new ulong[n];
        for (var f = 0; f < n; f++)
        {
            var a = bEnc[f];
            for (var i = 0; i < ld; i++) a = MathF.FusedMultiplyAdd(wEnc[(long)f * ld + i], centered[(long)b * ld + i], a);
            all[f] = Key(a, f);
        }
        Array.Sort(all);
        Array.Reverse(all);
        Array.Sort(all, 0, k, ByLatent);
        for (var j = 0; j < k; j++) row[j] = all[j];
        candidateCount[b] = k;
    }

    static readonly IComparer<ulong> ByLatent = Comparer<ulong>.Create((p, q) => ((uint)q).CompareTo((uint)p));
}
