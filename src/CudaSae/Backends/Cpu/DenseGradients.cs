using System.Runtime.CompilerServices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The gradients of the dense training path: stretch by stretch z again, ∂code, and both gradients; chunk by
/// chunk the optimizer's step.</summary>
sealed unsafe partial class CpuBackend
{
    /// <summary>One panel of rows [B, lo], turned, and packed where there is a place.</summary>
    void TurnRows(float* rows, int panel, float* turned, float* packed)
    {
        for (var lane = 0; lane < Gemm.TileColumns && panel * Gemm.TileColumns + lane < B; lane++)
        {
            var b = panel * Gemm.TileColumns + lane;
            float* row = rows + (long)b * lo, column = turned + (long)panel * lo * Gemm.TileColumns + lane;
            for (var i = 0; i < lo; i++, column += Gemm.TileColumns) *column = row[i];
            if (packed is not null) PackRow(row, b, lo, packed);
        }
    }

    /// <summary>Gradients of every chunk, and with <paramref name="update"/> the optimizer's step of its
    /// latents.</summary>
    void DenseVisit(bool update)
    {
        workers.Run(rowBlocks, packInput ??= (block, _) =>
        {
            for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
                PackRow(centered + (long)b * ld, b, ld, packedX);
        });
        if (gated)
            workers.Run(panels, turnGates ??= (panel, _) => TurnRows(gateResidual, panel, turnedGate, packedGate));
        var turned = -1;
        for (var part = 0; part < LatentParts; part += chunkParts)
        {
            SetChunk(part);
            for (var slot = 0; SetStretch(slot); slot += stretchCount)
            {
                if (turned != stretchLevel)
                    workers.Run(panels,
                        turnErrors ??= (panel, _) => TurnRows(WeightedRow(stretchLevel, 0), panel, turnedE, packedE));
                turned = stretchLevel;
                workers.Run(panels, gradientPanel ??= GradientPanel);
                workers.Run((stretchCount + Gemm.TileRows - 1) / Gemm.TileRows, gradientRows ??= GradientRows);
                workers.Run(ProductParts(stretchCount, lo), decoderRows ??= DecoderRows);
                workers.Run(ProductParts(stretchCount, ld), encoderRows ??= EncoderRows);
            }
            workers.Run(Math.Min(chunkParts, LatentParts - part),
                update ? visitChunk ??= (p, worker) => VisitPart(chunkPart + p, worker, update: true)
                : measureChunk ??= (p, worker) => VisitPart(chunkPart + p, worker, update: false));
        }
    }

    [SkipLocalsInit]
    void GradientPanel(int panel, int worker)
    {
        var buffer = stackalloc float[TileFloats + 16];
        var tile = Align(buffer);
        var start = panel * Gemm.TileColumns;
        var offset = (long)panel * lo * Gemm.TileColumns;
        var set = Stretch;
        for (var s = 0; s < set.Count; s += Gemm.TileRows)
        {
            var count = Math.Min(Gemm.TileRows, set.Count - s);
            var to = (long)(stretchSlot + s) * lanes + start;
            PreActTile(set, s, panel, tile);
            StoreTile(tile, chunkZ + to, count);
            ResidualTile(set, s, turnedE + offset, tile);
            StoreTile(tile, chunkG + to, count);
            if (!gated) continue;
            ResidualTile(set, s, turnedGate + offset, tile);
            StoreTile(tile, chunkGate + to, count);
        }
    }

    /// <summary>Eight latents over all rows: z and ∂code become the code and ∂⟨w, x⟩, of which the gradients of the
    /// rows are made.</summary>
    void GradientRows(int group, int worker)
    {
        int first = stretchSlot
            + group * Gemm.TileRows, count = Math.Min(Gemm.TileRows, stretchSlot + stretchCount - first);
        var scale = 2 * scalars.LossScale;
        for (var s = first; s < first + count; s++)
        {
            ref var latent = ref latents[chunkFirst + s];
            float* z = chunkZ + (long)s * lanes, g = chunkG + (long)s * lanes, gate = gated
                ? chunkGate + (long)s * lanes : null;
            var sum = default(EntryGradient);
            double gap = 0;
            var above = 0;
            for (var b = 0; b < B; b++)
            {
                var (a, v) = (z[b], math.Value(z[b], latent));
                var gradient =
                    math.Gradient(a, v, scale * g[b], gated ? scale * gate[b] : 0, latent, scalars, stepPenalty);
                sum.Add(gradient);
                (z[b], g[b]) = (v, gradient.Input);
                if (gated) gate[b] = a > 0 ? a : 0;
                if (a < latent.Theta) continue;
                above++;
                gap += latent.Theta - a;
            }
            for (var b = B; b < lanes; b++) z[b] = g[b] = 0;
            (chunkGrad[s], chunkGap[s], chunkAbove[s]) = (sum, gap, above);
        }
    }

    void DecoderRows(int part, int worker)
    {
        float* to = chunkDec + (long)stretchSlot * lo;
        long from = (long)stretchSlot * lanes;
        var scale = 2 * scalars.LossScale;
        Product(part, chunkZ + from, stretchCount, packedE, lo, scale, to);
        if (LiveGate) Product(part, chunkGate + from, stretchCount, packedGate, lo, scale, to, add: true);
    }

    void EncoderRows(int part, int worker) =>
        Product(part, chunkG + (long)stretchSlot * lanes, stretchCount, packedX, ld, 1,
            chunkEnc + (long)stretchSlot * ld);
}
