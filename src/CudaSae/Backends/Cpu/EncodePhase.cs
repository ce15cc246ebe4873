using System.Runtime.CompilerServices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>encode: pre-activations exist as tiles of 8 latents × 48 rows only. A filter keeps the candidates of each
/// row: the k largest (<see cref="RowFilter"/>), those above the latent's own threshold
/// (<see cref="ColumnFilter"/>), or the largest of each group (<see cref="GroupFilter"/>). Latents come in ascending
/// order.</summary>
sealed unsafe class EncodePhase : CpuPart
{
    readonly DenseProducts products;
    readonly Candidates candidates;
    readonly RowFilter? rows;
    readonly ColumnFilter? columns;
    readonly GroupFilter? groups;
    readonly EntryLevels? levels;
    readonly ShardSelection? shardSelection;
    readonly ShardRowCounts? shardCounts;
    readonly LatentMath math;
    readonly LatentScalars* latents;
    readonly int* index, rowCount;
    readonly float* value, preAct;
    readonly int latentBlock;               // rows of WEnc, 128 KiB of them, that stay in L2 while the panels pass
    readonly bool byMagnitude;
    readonly Action<int, int> sharePart;

    public EncodePhase(CpuContext context) : base(context)
    {
        var buffers = context.Buffers;
        products = context.Products;
        math = context.Math;
        latents = buffers.Latents;
        index = buffers.Index;
        rowCount = buffers.RowCount;
        value = buffers.Value;
        preAct = buffers.PreAct;
        candidates = new(context);
        if (context.Thresholded) columns = new(context, candidates);
        else if (spec.Selection is Selection.GroupMax) groups = new(context, candidates);
        else rows = new(context, candidates);
        if (spec.Levels > 1) levels = new(context);
        if (shard is not null && rows is not null) shardSelection = new(context, shard);
        if (shard is not null && columns is not null) shardCounts = new(context, shard);
        byMagnitude = spec.Selection is Selection.AbsTopK;
        latentBlock = Math.Clamp((128 << 10) / (4 * ld) & ~7, 64, 512);
        sharePart = EncodeShare;
    }

    /// <summary>The selection over all ranks; null for one process, and where a rank selects alone.</summary>
    public ShardSelection? ShardSelection => shardSelection;

    public void Run()
    {
        var annealed = spec.Selection is Selection.TopK && step.Scalars.K > 0;
        if (rows is not null) rows.Kept = Math.Min(annealed ? (int)step.Scalars.K : k, n);
        for (var w = 0; w < workers.Count; w++) candidates.Overflows[w] = 0;
        workers.Run(Math.Min(workers.Count, panels), sharePart);
        for (var w = 0; w < workers.Count; w++) step.OwnOverflows += candidates.Overflows[w];
        if (shard is null) step.Sums.Overflows += step.OwnOverflows;
        else JoinRanks(annealed ? (int)step.Scalars.K : k);
        // Where a row had no room, the whole batch takes the dense path.
        if (columns is not null) step.Dense = step.Sums.Overflows > 0;
    }

    /// <summary>Selects over all ranks.</summary>
    /// <param name="kept">Entries that a row keeps.</param>
    void JoinRanks(int kept)
    {
        step.MaxRow = kept;
        shardSelection?.Run(kept);
        if (shardCounts is null) return;
        (step.MaxRow, step.Sums.Overflows) = shardCounts.Share(candidates.Count, k);
        step.OwnOverflows = 0;
    }

    /// <summary>A contiguous share of the panels against all latents. Rows are independent, so the bounds of the share
    /// change no bit.</summary>
    [SkipLocalsInit]
    void EncodeShare(int part, int worker)
    {
        var parts = Math.Min(workers.Count, panels);
        int first = (int)((long)panels * part / parts), last = (int)((long)panels * (part + 1) / parts);
        var sampled = Begin(first, last, worker);
        var tile = GemmRows.Aligned(stackalloc float[GemmRows.BufferFloats]);
        for (var block = sampled; block < n; block += latentBlock)
            for (var panel = first; panel < last; panel++)
                for (var f = block; f < Math.Min(block + latentBlock, n); f += Gemm.TileRows)
                {
                    products.PreActTile(f, n - f, panel, tile);
                    var count = Math.Min(Gemm.TileRows, n - f);
                    if (rows is not null) rows.Filter(tile, f, count, panel * Gemm.TileColumns, worker);
                    else if (columns is not null) columns.Filter(tile, f, count, panel * Gemm.TileColumns, worker);
                    else groups!.Filter(tile, f, count, panel);
                }
        for (var b = first * Gemm.TileColumns; b < Math.Min(last * Gemm.TileColumns, B); b++) Finish(b, worker);
    }

    /// <summary>Empties the candidates of the panels [first, last). Returns the latents that are already
    /// filtered.</summary>
    int Begin(int first, int last, int worker)
    {
        for (var b = first * Gemm.TileColumns; b < Math.Min(last * Gemm.TileColumns, B); b++) candidates.Count[b] = 0;
        groups?.Begin(first, last);
        return rows?.Begin(first, last, worker) ?? 0;
    }

    /// <summary>Writes the code of a row from its candidates.</summary>
    void Finish(int b, int worker)
    {
        rows?.Finish(b, worker);
        groups?.Finish(b);
        var keys = candidates.Keys + (long)b * candidates.Capacity;
        var count = Math.Min(candidates.Count[b], k);
        rowCount[b] = count;
        for (var j = 0; j < count; j++)
        {
            var f = CandidateKey.LatentOf(keys[j]);
            var z = CandidateKey.ValueOf(keys[j]);
            index[b * k + j] = f;
            if (columns is not null)
            {
                preAct[b * k + j] = z;
                value[b * k + j] = math.Value(z, latents[f]);
            }
            else if (byMagnitude) value[b * k + j] = CandidateKey.IsNegative(keys[j]) ? -z : z;
            else value[b * k + j] = z > 0 ? z : 0;
        }
        levels?.Set(b, keys, count);
    }
}
