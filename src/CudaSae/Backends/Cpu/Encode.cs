using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>encode: pre-activations exist as tiles of 8 latents × 48 rows only. For the k largest, each row keeps
/// candidates above a limit that is
/// always the k-th largest of what the row has seen, so what is left out is never among the k largest; latents come in
/// ascending order, so an equal one that comes later is rightly left out. Thresholded selections keep what exceeds the
/// latent's own limit.</summary>
sealed unsafe partial class CpuBackend
{
    int latentBlock;                // rows of WEnc, 128 KiB of them, that stay in L2 while the panels pass
    int capacity;                   // candidates a row holds before it is cut back to k
    ulong* candidates;              // [B, capacity] keys in the order of arrival: ascending latent
    int* candidateCount;            // [B]
    float* rowLimit;                // [panels · 48] only z above it is a candidate
    float* groupBest;               // [panels, groups, 48] GroupMax: the largest z of a group so far
    int kNow;                       // candidates that selection keeps of a row
    bool byMagnitude, byGroup;
    ulong* selectScratch;           // [workers, ScratchLength]
    int* overflow;                  // [workers] rows that took the exact fallback
    Action<int, int>? encodePart;

    void TakeEncode()
    {
        byMagnitude = Spec.Selection is Selection.AbsTopK;
        byGroup = Spec.Selection is Selection.GroupMax;
        capacity = thresholded || byGroup ? k : Math.Min(n, k + Math.Max(64, k / 2));
        latentBlock = Math.Clamp((128 << 10) / (4 * ld) & ~7, 64, 512);
        TakeSample();
        groupBest = arena.Take<float>("group maxima", byGroup ? (long)panels * k * Gemm.TileColumns : 0);
        candidates = arena.Take<ulong>("candidates", (long)B * capacity);
        candidateCount = arena.Take<int>("candidate counts", B);
        batchKeys = arena.Take<ulong>("batch keys", Spec.Selection is Selection.BatchTopK ? (long)B * k : 0);
        rowLimit = arena.Take<float>("row limits", (long)panels * Gemm.TileColumns);
        selectScratch = arena.Take<ulong>("selection scratch", (long)workers.Count * ScratchLength);
        overflow = arena.Take<int>("fallback counts", workers.Count);
    }

    int ScratchLength => Math.Max(16, capacity);

    public void EncodeSelect()
    {
        if (stepDense) return;
        kNow = Spec.Selection is Selection.TopK && scalars.K > 0 ? (int)scalars.K : k;
        for (var w = 0; w < workers.Count; w++) overflow[w] = 0;
        workers.Run(Math.Min(workers.Count, panels), encodePart ??= EncodePart);
        for (var w = 0; w < workers.Count; w++) sums.Overflows += overflow[w];
        if (thresholded) stepDense = sums.Overflows > 0; // a row without room: the whole batch goes the dense way
        if (Spec.Selection is Selection.BatchTopK batch) SelectBatch(batch);
    }

    /// <summary>A contiguous share of the panels against all latents. Rows are independent, so the share's bounds
    /// change no bit.</summary>
    [SkipLocalsInit]
    void EncodePart(int part, int worker)
    {
        var parts = Math.Min(workers.Count, panels);
        int first = (int)((long)panels * part / parts), last = (int)((long)panels * (part + 1) / parts);
        for (var b = first * Gemm.TileColumns; b < last * Gemm.TileColumns; b++)
        {
            rowLimit[b] = b < B ? float.NegativeInfinity : float.PositiveInfinity;
            if (b < B) candidateCount[b] = 0;
        }
        if (byGroup)
            new Span<float>(groupBest + (long)first * k * Gemm.TileColumns,
                (last - first) * k * Gemm.TileColumns).Fill(float.NegativeInfinity);
        var buffer = stackalloc float[Gemm.TileRows * Gemm.TileColumns + 16];
        var tile = (float*)((nint)(buffer + 15) & ~63);
        var rows = stackalloc float*[Gemm.TileRows];
        var bias = stackalloc float[Gemm.TileRows];
        for (var panel = first; panel < last && sample > 0; panel++) SamplePanel(panel, worker);
        for (var block = sample; block < n; block += latentBlock)
            for (var panel = first; panel < last; panel++)
                for (var f = block; f < Math.Min(block + latentBlock, n); f += Gemm.TileRows)
                {
                    for (var r = 0; r < Gemm.TileRows; r++)
                    {
                        var latent = Math.Min(f + r, n - 1);
                        rows[r] = wEnc + (long)latent * ld;
                        bias[r] = bEnc[latent];
                    }
                    Gemm.Tile(rows, centeredT + (long)panel * ld * Gemm.TileColumns, Gemm.TileColumns, ld, bias, tile);
                    var count = Math.Min(Gemm.TileRows, n - f);
                    if (thresholded) FilterByLatent(tile, f, count, panel * Gemm.TileColumns, worker);
                    else if (byGroup) FilterByGroup(tile, f, count, panel);
                    else Filter(tile, f, count, panel * Gemm.TileColumns, worker);
                }
        for (var b = first * Gemm.TileColumns; b < Math.Min(last * Gemm.TileColumns, B); b++) Finish(b, worker);
    }

    void Filter(float* tile, int latent, int count, int row, int worker)
    {
        var limits = rowLimit + row;
        Vector512<float> limit0 =
            Vector512.Load(limits), limit1 = Vector512.Load(limits + 16), limit2 = Vector512.Load(limits + 32);
        for (var r = 0; r < count; r++, tile += Gemm.TileColumns)
        {
            Vector512<float> v0 = Vector512.Load(tile), v1 = Vector512.Load(tile + 16), v2 = Vector512.Load(tile + 32);
            if (byMagnitude) (v0, v1, v2) = (Vector512.Abs(v0), Vector512.Abs(v1), Vector512.Abs(v2));
            var above = Vector512.GreaterThan(v0, limit0)
                .ExtractMostSignificantBits() | Vector512.GreaterThan(v1, limit1).ExtractMostSignificantBits() << 16
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

    void Append(int b, int latent, float a, int worker)
    {
        var row = candidates + (long)b * capacity;
        if (candidateCount[b] == capacity)
        {
            CutBack(row, b, worker);
            if (!((byMagnitude ? MathF.Abs(a) : a) > rowLimit[b])) return;
        }
        row[candidateCount[b]++] = byMagnitude ? MagnitudeKey(a, latent) : Key(a, latent);
    }

    /// <summary>Order of the pre-activation above, complement of the latent below: of equal values the lower latent is
    /// larger.</summary>
    internal static ulong Key(float a, int latent)
    {
        if (float.IsNaN(a)) return (uint)~latent;
        var bits = BitConverter.SingleToUInt32Bits(a + 0f);
        return (ulong)((bits & 0x80000000) != 0 ? ~bits : bits | 0x80000000) << 32 | (uint)~latent;
    }

    const uint Negative = 0x80000000;       // a cleared top bit of the lower half: the number was below 0

    /// <summary>The key of |a|, which is never negative, with its sign in the lower half: of equal ones the positive is
    /// larger.</summary>
    internal static ulong MagnitudeKey(float a, int latent) =>
        Key(MathF.Abs(a), latent) & (a < 0 ? ~(ulong)Negative : ulong.MaxValue);

    static int LatentOf(ulong key) => (int)(~(uint)key & ~Negative);

    static float ValueOf(ulong key)
    {
        var bits = (uint)(key >> 32);
        return BitConverter.UInt32BitsToSingle((bits & 0x80000000) != 0 ? bits & 0x7fffffff : ~bits);
    }

    void CutBack(ulong* row, int b, int worker)
    {
        var least = KeepLargest(row, candidateCount[b], kNow, selectScratch + (long)worker * ScratchLength);
        candidateCount[b] = kNow;
        // Of equal magnitudes the positive is larger, so where the least is negative a later equal one may still
        // belong.
        rowLimit[b] = byMagnitude && ((uint)least & Negative) == 0 ? MathF.BitDecrement(ValueOf(least))
            : ValueOf(least);
    }

    void Finish(int b, int worker)
    {
        var row = candidates + (long)b * capacity;
        if (byGroup) TakeGroups(b);
        else if (!thresholded)
        {
            if (candidateCount[b] > kNow) CutBack(row, b, worker);
            if (candidateCount[b] < kNow) FillUp(row, b, worker);
        }
        var count = Math.Min(candidateCount[b], k);
        rowCount[b] = count;
        for (var j = 0; j < count; j++)
        {
            var f = LatentOf(row[j]);
            var z = ValueOf(row[j]);
            index[b * k + j] = f;
            if (thresholded)
            {
                preAct[b * k + j] = z;
                value[b * k + j] = math.Value(z, latents[f]);
            }
            else if (byMagnitude) value[b * k + j] = ((uint)row[j] & Negative) != 0 ? z : -z;
            else value[b * k + j] = z > 0 ? z : 0;
        }
        if (level is not null) SetLevels(b, row, count);
    }

    /// <summary>Fewer than k pre-activations lie above −∞: every one of the row is formed again and sorted.</summary>
    void FillUp(ulong* row, int b, int worker)
    {
        overflow[worker]++;
        var all = new ulong[n];
        for (var f = 0; f < n; f++)
        {
            var a = bEnc[f];
            for (var i = 0; i < ld; i++)
                a = MathF.FusedMultiplyAdd(wEnc[(long)f * ld + i], centered[(long)b * ld + i], a);
            all[f] = byMagnitude ? MagnitudeKey(a, f) : Key(a, f);
        }
        Array.Sort(all);
        Array.Reverse(all);
        Array.Sort(all, 0, kNow, ByLatent);
        for (var j = 0; j < kNow; j++) row[j] = all[j];
        candidateCount[b] = kNow;
    }

    static readonly IComparer<ulong> ByLatent = Comparer<ulong>.Create((p, q) => LatentOf(p).CompareTo(LatentOf(q)));
}
