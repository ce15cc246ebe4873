using System.Runtime.CompilerServices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The dense training path of thresholded selections, used while the code is not sparse: it processes latents
/// in chunks against the whole batch and never stores [B, n]. Forward computes z, the code and x̂. When e is known,
/// <see cref="DenseGradients"/> computes z again, ∂code and both gradients, chunk by chunk, and the optimizer moves
/// these latents. With prefixes a chunk consists of stretches that end where prefixes end; x̂ after such a stretch is
/// the reconstruction of that prefix. The dense check is <see cref="CpuBackend.CheckAgainstDense"/>.</summary>
sealed unsafe class DensePhase : CpuPart
{
    readonly Residuals residuals;
    readonly DenseProducts products;
    readonly DenseChunk chunk;
    readonly DenseGradients gradients;
    readonly LatentMath math;
    readonly LatentScalars* latents;
    readonly int* rowCount;
    readonly float* residual, gateResidual;
    readonly float* decoder;                    // [lo, W] decoder rows of a stretch, transposed
    readonly float* reconstruction, gateReconstruction;     // [panels][lo, 48]
    readonly byte* fired;                       // [panels, n] rows of a panel on which a latent fired
    readonly RowSums* panelSums;                // [panels]
    readonly ShardDense? ranks;
    readonly bool gated, nested;
    readonly Action<int, int> transposePart, forwardPart, closePart, finishPart;
    int closing;                                // the level that is closed

    public DensePhase(CpuContext context, Residuals residuals) : base(context)
    {
        var (arena, buffers) = (context.Arena, context.Buffers);
        this.residuals = residuals;
        products = context.Products;
        math = context.Math;
        latents = buffers.Latents;
        rowCount = buffers.RowCount;
        residual = buffers.Residual;
        gateResidual = buffers.GateResidual;
        (gated, nested) = (context.Gated, context.Nested);
        chunk = new(context);
        decoder = arena.Take<float>("chunk decoder, turned", (long)chunk.Width * lo);
        reconstruction = arena.Take<float>("residual, turned", (long)lanes * lo);
        gateReconstruction = arena.Take<float>("gate residual, turned", gated ? (long)lanes * lo : 0);
        fired = arena.Take<byte>("firings by panel", (long)panels * n);
        panelSums = arena.Take<RowSums>("panel sums", panels);
        gradients = new(context, chunk, reconstruction, gateReconstruction, residuals);
        if (shard is not null)
            ranks = new(context, shard, residuals, reconstruction, gateReconstruction, panelSums);
        (transposePart, forwardPart) = (TransposePart, ForwardPanel);
        (closePart, finishPart) = (CloseBlock, FinishBlock);
    }

    public DenseChunk Chunk => chunk;

    /// <inheritdoc cref="DenseGradients.Visit"/>
    public void Visit(Action<int, int> part) => gradients.Visit(part);

    public void Forward()
    {
        new Span<float>(reconstruction, lanes * lo).Clear();
        if (gated) new Span<float>(gateReconstruction, lanes * lo).Clear();
        new Span<int>(rowCount, B).Clear();
        for (var panel = 0; panel < panels; panel++) panelSums[panel] = default;
        ranks?.Begin();
        closing = PartialLevels ? 0 : LevelsUpTo(firstLatent);
        for (var part = 0; part < parts; part += chunk.Parts)
        {
            chunk.Set(part);
            for (var slot = 0; chunk.SetStretch(slot); slot += chunk.Length)
            {
                CloseLevels(chunk.Level);
                workers.Run(lo / 16, transposePart);
                workers.Run(panels, forwardPart);
            }
        }
        if (nested) CloseLevels(PartialLevels ? spec.Levels : LevelsUpTo(firstLatent + n));
        ranks?.End();
        workers.Run(rowBlocks, finishPart);
        ref var sums = ref residuals.Sums(0);
        for (var panel = 0; panel < panels; panel++)
        {
            sums.Active += panelSums[panel].Active;
            sums.Penalty += panelSums[panel].Penalty;
            sums.NextPenalty += panelSums[panel].NextPenalty;
        }
    }

    bool PartialLevels => ranks is { IsPartial: true };

    /// <summary>Number of levels that hold no latent from this one on.</summary>
    int LevelsUpTo(int latent)
    {
        var m = 0;
        while (m < spec.Levels && step.EndOf(m, spec.Latents) <= latent) m++;
        return m;
    }

    /// <summary>Takes x̂ as the reconstruction of all levels below <paramref name="end"/> that have none yet. Equal
    /// prefixes share one.</summary>
    void CloseLevels(int end)
    {
        for (; closing < end; closing++) workers.Run(rowBlocks, closePart);
    }

    void CloseBlock(int block, int worker)
    {
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
            WriteResidual(reconstruction, residuals.Weighted(closing, 0), b, PartialLevels);
    }

    void TransposePart(int part, int worker) =>
        products.TransposeDecoder(chunk.First + chunk.Slot, chunk.Length, part, decoder);

    /// <summary>One panel of 48 rows against the stretch: the code, its penalties, and x̂.</summary>
    [SkipLocalsInit]
    void ForwardPanel(int panel, int worker)
    {
        var tile = GemmRows.Aligned(stackalloc float[GemmRows.BufferFloats]);
        ref var total = ref panelSums[panel];
        int first = chunk.First + chunk.Slot, count = chunk.Length;
        var offset = (long)panel * chunk.Width * Gemm.TileColumns;
        float* codes = chunk.Z + offset, gates = gated ? chunk.Gate + offset : null;
        for (var s = 0; s < count; s += Gemm.TileRows)
        {
            products.PreActTile(first + s, count - s, panel, tile);
            for (var r = 0; r < Math.Min(Gemm.TileRows, count - s); r++)
                ForwardRow(first + s + r, tile + r * Gemm.TileColumns, panel, codes + (s + r) * Gemm.TileColumns,
                    gated ? gates + (s + r) * Gemm.TileColumns : null, ref total);
        }
        offset = (long)panel * lo * Gemm.TileColumns;
        products.AddReconstruction(decoder, count, count, codes, reconstruction + offset);
        if (gated) products.AddReconstruction(decoder, count, count, gates, gateReconstruction + offset);
    }

    /// <summary>A latent's pre-activations on a panel become its code.</summary>
    void ForwardRow(int f, float* preActs, int panel, float* code, float* gate, ref RowSums total)
    {
        ref var latent = ref latents[f];
        var start = panel * Gemm.TileColumns;
        var active = 0;
        for (var lane = 0; lane < Gemm.TileColumns; lane++)
        {
            var inside = start + lane < B;
            var z = preActs[lane];
            var v = inside ? math.Value(z, latent) : 0;
            var penalized = v;
            code[lane] = v;
            if (gated) gate[lane] = penalized = inside && z > 0 ? z : 0;
            if (v != 0) active++;
            if (inside && z > latent.Floor) rowCount[start + lane]++;
            if (penalized == 0) continue;
            total.Penalty += math.Penalty(penalized, latent.Omega, step.Scalars.Power);
            if (spec.Penalty is SparsityPenalty.Lp)
                total.NextPenalty += math.Penalty(penalized, latent.Omega, step.Scalars.NextPower);
        }
        fired[(long)panel * n + f] = (byte)active;
        total.Active += active;
    }

    /// <summary>e = x̂ − y of a block's rows, and their sums.</summary>
    void FinishBlock(int block, int worker)
    {
        residuals.ClearColumns(block);
        var total = default(RowSums);
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            if (nested) residuals.SumLevels(b, ref total);
            else WriteResidual(reconstruction, residual, b);
            if (gated) WriteResidual(gateReconstruction, gateResidual, b);
            total.MaxRow = Math.Max(total.MaxRow, rowCount[b]);
            residuals.FinishRow(block, b, ref total);
        }
        residuals.Sums(block) = total;
    }

    /// <param name="partial">Writes the sum over this rank's latents instead.</param>
    void WriteResidual(float* transposed, float* to, int b, bool partial = false)
    {
        var e = to + (long)b * lo;
        if (partial) new Span<float>(e, lo).Clear();
        else
        {
            residuals.StartRow(e, b);
            residuals.Subtract(e, b);
        }
        var column = transposed + (long)(b / Gemm.TileColumns) * lo * Gemm.TileColumns + b % Gemm.TileColumns;
        for (var i = 0; i < lo; i++, column += Gemm.TileColumns) e[i] += *column;
    }

    /// <summary>Adds to each latent the rows on which it fired.</summary>
    public void AddFirings(int* to)
    {
        for (var panel = 0; panel < panels; panel++)
            for (var f = 0; f < n; f++) to[f] += fired[(long)panel * n + f];
    }
}
