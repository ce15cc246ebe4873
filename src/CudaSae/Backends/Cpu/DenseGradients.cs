using System.Runtime.CompilerServices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The gradients of the dense training path. For each stretch it computes z again, ∂code and both gradients;
/// after each chunk the optimizer visits its latents.</summary>
sealed unsafe class DenseGradients : CpuPart
{
    readonly DenseChunk chunk;
    readonly DenseProducts products;
    readonly Residuals residuals;
    readonly LatentMath math;
    readonly LatentScalars* latents;
    readonly float* centered, gateResidual;
    readonly float* errors, gateErrors;             // [panels][lo, 48] E of one level; the gate's residual
    readonly float* packedE, packedGate, packedX;   // the same E and x − b_dec, in column panels
    readonly bool gated, liveGate;
    readonly Action<int, int> packInput, transposeErrors, transposeGates, gradientPanel, gradientRows, decoderRows,
        encoderRows, visitPart;
    Action<int, int>? visitor;

    /// <param name="errors">Scratch [panels][lo, 48], and for Gated a second one.</param>
    public DenseGradients(CpuContext context, DenseChunk chunk, float* errors, float* gateErrors, Residuals residuals)
        : base(context)
    {
        var (arena, buffers) = (context.Arena, context.Buffers);
        this.chunk = chunk;
        this.errors = errors;
        this.gateErrors = gateErrors;
        this.residuals = residuals;
        products = context.Products;
        math = context.Math;
        latents = buffers.Latents;
        centered = buffers.Centered;
        gateResidual = buffers.GateResidual;
        (gated, liveGate) = (context.Gated, context.LiveGate);
        packedE = arena.Take<float>("residual, packed", products.PackedLength(lo));
        packedGate = arena.Take<float>("gate residual, packed", liveGate ? products.PackedLength(lo) : 0);
        packedX = arena.Take<float>("x - b_dec, by columns", products.PackedLength(ld));
        (packInput, transposeErrors, transposeGates) = (PackInput, TransposeErrors, TransposeGates);
        (gradientPanel, gradientRows) = (GradientPanel, GradientRows);
        (decoderRows, encoderRows) = (DecoderRows, EncoderRows);
        visitPart = VisitPart;
    }

    /// <summary>Computes the gradients of every chunk, and calls <paramref name="part"/>(part, worker) for the parts of
    /// its latents while <see cref="DenseChunk"/> holds them.</summary>
    public void Visit(Action<int, int> part)
    {
        visitor = part;
        workers.Run(rowBlocks, packInput);
        if (gated) workers.Run(panels, transposeGates);
        var transposed = -1;
        for (var first = 0; first < parts; first += chunk.Parts)
        {
            chunk.Set(first);
            for (var slot = 0; chunk.SetStretch(slot); slot += chunk.Length)
            {
                if (transposed != chunk.Level) workers.Run(panels, transposeErrors);
                transposed = chunk.Level;
                workers.Run(panels, gradientPanel);
                workers.Run((chunk.Length + Gemm.TileRows - 1) / Gemm.TileRows, gradientRows);
                workers.Run(DenseProducts.ProductParts(chunk.Length, lo), decoderRows);
                workers.Run(DenseProducts.ProductParts(chunk.Length, ld), encoderRows);
            }
            workers.Run(Math.Min(chunk.Parts, parts - first), visitPart);
        }
    }

    void PackInput(int block, int worker)
    {
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
            products.PackRow(centered + (long)b * ld, b, ld, packedX);
    }

    void VisitPart(int part, int worker) => visitor!(chunk.Part + part, worker);

    void TransposeErrors(int panel, int worker) =>
        Transpose(residuals.Weighted(chunk.Level, 0), panel, errors, packedE);

    void TransposeGates(int panel, int worker) => Transpose(gateResidual, panel, gateErrors, packedGate);

    /// <summary>One panel of rows [B, lo], transposed, and packed unless <paramref name="packed"/> is null.</summary>
    void Transpose(float* rows, int panel, float* transposed, float* packed)
    {
        for (var lane = 0; lane < Gemm.TileColumns && panel * Gemm.TileColumns + lane < B; lane++)
        {
            var b = panel * Gemm.TileColumns + lane;
            float* row = rows + (long)b * lo, column = transposed + (long)panel * lo * Gemm.TileColumns + lane;
            for (var i = 0; i < lo; i++, column += Gemm.TileColumns) *column = row[i];
            if (packed is not null) products.PackRow(row, b, lo, packed);
        }
    }

    /// <summary>z and ∂code of the stretch on one panel.</summary>
    [SkipLocalsInit]
    void GradientPanel(int panel, int worker)
    {
        var tile = GemmRows.Aligned(stackalloc float[GemmRows.BufferFloats]);
        var start = panel * Gemm.TileColumns;
        var offset = (long)panel * lo * Gemm.TileColumns;
        int first = chunk.First + chunk.Slot, length = chunk.Length;
        for (var s = 0; s < length; s += Gemm.TileRows)
        {
            var count = Math.Min(Gemm.TileRows, length - s);
            var to = (long)(chunk.Slot + s) * lanes + start;
            products.PreActTile(first + s, length - s, panel, tile);
            products.StoreTile(tile, chunk.Z + to, count);
            products.ResidualTile(first + s, length - s, errors + offset, tile);
            products.StoreTile(tile, chunk.G + to, count);
            if (!gated) continue;
            products.ResidualTile(first + s, length - s, gateErrors + offset, tile);
            products.StoreTile(tile, chunk.Gate + to, count);
        }
    }

    /// <summary>Eight latents over all rows: z and ∂code become the code and ∂⟨w, x⟩, the operands of the gradients of
    /// the rows.</summary>
    void GradientRows(int group, int worker)
    {
        var first = chunk.Slot + group * Gemm.TileRows;
        var last = Math.Min(first + Gemm.TileRows, chunk.Slot + chunk.Length);
        for (var s = first; s < last; s++) GradientRow(s);
    }

    void GradientRow(int s)
    {
        ref var latent = ref latents[chunk.First + s];
        float* z = chunk.Z + (long)s * lanes, g = chunk.G + (long)s * lanes,
            gate = gated ? chunk.Gate + (long)s * lanes : null;
        var (scale, countSlope) = (2 * step.Scalars.LossScale, step.CountSlope);
        ref readonly var scalars = ref step.Scalars;
        var sum = default(EntryGradient);
        double gap = 0;
        var above = 0;
        for (var b = 0; b < B; b++)
        {
            var (a, v) = (z[b], math.Value(z[b], latent));
            var gradient = math.Gradient(a, v, scale * g[b], gated ? scale * gate[b] : 0, latent, scalars,
                countSlope);
            sum.Add(gradient);
            (z[b], g[b]) = (v, gradient.Input);
            if (gated) gate[b] = a > 0 ? a : 0;
            if (a < latent.Theta) continue;
            above++;
            gap += latent.Theta - a;
        }
        for (var b = B; b < lanes; b++) z[b] = g[b] = 0;
        (chunk.Grad[s], chunk.Gap[s], chunk.Above[s]) = (sum, gap, above);
    }

    void DecoderRows(int part, int worker)
    {
        float* to = chunk.Dec + (long)chunk.Slot * lo;
        long from = (long)chunk.Slot * lanes;
        var scale = 2 * step.Scalars.LossScale;
        products.Product(part, chunk.Z + from, chunk.Length, packedE, lo, scale, to);
        if (liveGate) products.Product(part, chunk.Gate + from, chunk.Length, packedGate, lo, scale, to, add: true);
    }

    void EncoderRows(int part, int worker) =>
        products.Product(part, chunk.G + (long)chunk.Slot * lanes, chunk.Length, packedX, ld, 1,
            chunk.Enc + (long)chunk.Slot * ld);
}
