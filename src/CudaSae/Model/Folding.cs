using CudaSae.Numerics;

namespace CudaSae.Model;

/// <summary>Other projects' scales into the weights, so that the function of raw activations stays. Sums and products in double, rounded once.</summary>
static class Folding
{
    /// <summary>b_f ± e^r_f WEnc_f · b_dec, e^r 1 without r.</summary>
    public static void AddEncodedBias(Matrix wEnc, float[] bDec, float[] into, int sign, float[]? r = null)
    {
        for (var f = 0; f < into.Length; f++)
        {
            double product = 0;
            var row = wEnc[f];
            for (var i = 0; i < row.Length; i++) product += (double)row[i] * bDec[i];
            into[f] = (float)(into[f] + sign * (r is null ? product : Math.Exp(r[f]) * product));
        }
    }

    /// <summary>‖WDec_f‖, at least 1e-8 as SAELens clamps it, [n].</summary>
    public static double[] DecoderNorms(Matrix wDec)
    {
        var norms = new double[wDec.Rows];
        for (var f = 0; f < norms.Length; f++) norms[f] = Math.Max(Matrix.Norm(wDec[f]), 1e-8);
        return norms;
    }

    /// <summary>Latents chosen by z ‖WDec_f‖ with codes divided by it again: WEnc and b_enc times the norm, WDec unit. θ, if it was compared with the product, stays.</summary>
    public static void DecoderNormsIntoEncoder(SaeParameters p)
    {
        var norms = DecoderNorms(p.WDec);
        for (var f = 0; f < norms.Length; f++)
        {
            var norm = norms[f];
            foreach (ref var w in p.WEnc[f]) w = (float)(w * norm);
            foreach (ref var w in p.WDec[f]) w = (float)(w / norm);
            p.BEnc[f] = (float)(p.BEnc[f] * norm);
        }
    }

    /// <summary>x = input · raw before encoding, and the output divided by <paramref name="output"/>: WEnc · input, WDec / output, b_dec / output, W_skip · input / output.</summary>
    public static void Scales(SaeParameters p, double input, double output)
    {
        for (long f = 0; f < p.WEnc.Rows; f++)
        {
            foreach (ref var w in p.WEnc[f]) w = (float)(w * input);
            foreach (ref var w in p.WDec[f]) w = (float)(w / output);
        }
        for (var i = 0; i < p.BDec.Length; i++) p.BDec[i] = (float)(p.BDec[i] / output);
        for (long i = 0; i < p.WSkip.Rows; i++)
            foreach (ref var w in p.WSkip[i]) w = (float)(w * input / output);
    }

    /// <summary>Decoder rows times one factor each.</summary>
    public static void DecoderRows(SaeParameters p, float[] factors)
    {
        for (var f = 0; f < factors.Length; f++)
            foreach (ref var w in p.WDec[f]) w *= factors[f];
    }
}
