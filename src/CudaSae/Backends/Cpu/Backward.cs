using CudaSae.Training;

namespace CudaSae.Backends.Cpu;

/// <summary>backward: the code turned round, by counting sort: for each latent the entries that hold it, rows ascending. Gradients are
/// formed where they are used, one latent at a time, and never stored.</summary>
public sealed unsafe partial class CpuBackend
{
    int* runStart;          // [n + 1]
    int* runEntry;          // [B·k] entries b·k + j, by latent

    void TakeBackward()
    {
        runStart = arena.Take<int>("run starts", n + 1L);
        runEntry = arena.Take<int>("runs", (long)B * k);
    }

    public void Backward()
    {
        new Span<int>(runStart, n + 1).Clear();
        for (var entry = 0; entry < B * k; entry++)
            if (value[entry] != 0) runStart[index[entry] + 1]++;
        for (var f = 0; f < n; f++) runStart[f + 1] += runStart[f];
        for (var entry = 0; entry < B * k; entry++)
            if (value[entry] != 0) runEntry[runStart[index[entry]]++] = entry;
        for (var f = n; f > 0; f--) runStart[f] = runStart[f - 1];
        runStart[0] = 0;
        if (Config.Clip == ClipKind.GlobalNorm) MeasureGradients();
    }

    bool Touched(int f) => runStart[f + 1] > runStart[f] || auxSlot[f] >= 0 && windowLength > 0;

    /// <summary>∂WEnc_f and ∂WDec_f into [ld] scratch, projected where the decoder is unit; returns ∂b_enc_f.</summary>
    float LatentGradient(int f, float* encGrad, float* decGrad)
    {
        float biasGrad = 0;
        var slot = windowLength > 0 ? auxSlot[f] : -1;
        if (slot >= 0)
        {
            new ReadOnlySpan<float>(auxEncGrad + (long)slot * ld, ld).CopyTo(new(encGrad, ld));
            new ReadOnlySpan<float>(auxDecGrad + (long)slot * ld, ld).CopyTo(new(decGrad, ld));
            biasGrad = auxBiasGrad[slot];
        }
        else
        {
            new Span<float>(encGrad, ld).Clear();
            new Span<float>(decGrad, ld).Clear();
        }
        var scale = 2 * scalars.LossScale;
        int at = runStart[f], end = runStart[f + 1];
        for (; at + 4 <= end; at += 4)
        {
            int e0 = runEntry[at], e1 = runEntry[at + 1], e2 = runEntry[at + 2], e3 = runEntry[at + 3];
            long b0 = (long)(e0 / k) * ld, b1 = (long)(e1 / k) * ld, b2 = (long)(e2 / k) * ld, b3 = (long)(e3 / k) * ld;
            Rows.Add4(decGrad, scale * value[e0], residual + b0, scale * value[e1], residual + b1,
                scale * value[e2], residual + b2, scale * value[e3], residual + b3, ld);
            Rows.Add4(encGrad, valueGrad[e0], centered + b0, valueGrad[e1], centered + b1,
                valueGrad[e2], centered + b2, valueGrad[e3], centered + b3, ld);
            biasGrad += valueGrad[e0] + valueGrad[e1] + (valueGrad[e2] + valueGrad[e3]);
        }
        for (; at < end; at++)
        {
            var entry = runEntry[at];
            var b = (long)(entry / k) * ld;
            Rows.Add(decGrad, scale * value[entry], residual + b, ld);
            Rows.Add(encGrad, valueGrad[entry], centered + b, ld);
            biasGrad += valueGrad[entry];
        }
        if (Spec.DecoderNorm == Model.DecoderNorm.Unit)
        {
            var row = wDec + (long)f * ld;
            Rows.Add(decGrad, -Rows.Dot(decGrad, row, ld), row, ld);
        }
        return biasGrad;
    }
}
