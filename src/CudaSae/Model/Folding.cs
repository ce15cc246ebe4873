using CudaSae.Numerics;

namespace CudaSae.Model;

/// <summary>Moves scales and decoder norms into the weights, so that the SAE stays the same function of raw
/// activations. The weights of a run are multiplied in float, because that arithmetic defines the bytes of every saved
/// SAE; those of other formats in double, rounded once, so that reading them adds one rounding.</summary>
static class Folding
{
    /// <summary>Folds decoder norms into the encoder after training: multiplies z, biases and θ by ‖WDec_f‖, and makes
    /// WDec's rows unit. A latent of norm 0 stays as it is. Only thresholded selections keep the same
    /// function.</summary>
    public static void TrainedNorms(SaeParameters p)
    {
        for (var f = 0; f < p.WDec.Rows; f++)
        {
            var norm = (float)Matrix.Norm(p.WDec[f]);
            if (!(norm > 0)) continue;
            foreach (ref var w in p.WEnc[f]) w *= norm;
            foreach (ref var w in p.WDec[f]) w /= norm;
            foreach (var vector in (float[][])[p.BEnc, p.BMag, p.Threshold])
                if (vector.Length > 0) vector[f] *= norm;
        }
    }

    /// <summary>Folds the scales of training into the weights; training used x = inputScale · raw and y = targetScale ·
    /// raw target. z is unchanged, and so are b_enc and θ.</summary>
    public static void TrainedScales(SaeParameters p, double inputScale, double targetScale)
    {
        var (up, down) = ((float)inputScale, (float)(1 / targetScale));
        for (var f = 0; f < p.WEnc.Rows; f++)
        {
            foreach (ref var w in p.WEnc[f]) w *= up;
            foreach (ref var w in p.WDec[f]) w *= down;
        }
        for (var i = 0; i < p.BDec.Length; i++) p.BDec[i] *= down;
        for (var i = 0; i < p.WSkip.Rows; i++)
            foreach (ref var w in p.WSkip[i]) w *= up * down;
    }

    /// <summary>Adds ± e^r_f WEnc_f · b_dec to b_f; e^r is 1 without r.</summary>
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

    /// <summary>Returns ‖WDec_f‖, [n], at least 1e-8 as in SAELens.</summary>
    public static double[] DecoderNorms(Matrix wDec)
    {
        var norms = new double[wDec.Rows];
        for (var f = 0; f < norms.Length; f++) norms[f] = Math.Max(Matrix.Norm(wDec[f]), 1e-8);
        return norms;
    }

    /// <summary>Folds decoder norms into the encoder of an SAE of another format that selects latents by z ‖WDec_f‖ and
    /// divides the code by ‖WDec_f‖ again. It multiplies WEnc and b_enc by the norm, and makes WDec's rows unit. θ
    /// stays, because that format compares it with the product.</summary>
    public static void ReadNorms(SaeParameters p)
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

    /// <summary>Folds the scales of an SAE of another format, which encodes input · raw and divides its output by
    /// <paramref name="output"/>, into the weights: WEnc · input, WDec / output, b_dec / output, W_skip · input /
    /// output.</summary>
    public static void ReadScales(SaeParameters p, double input, double output)
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

    /// <summary>Multiplies each decoder row by its factor.</summary>
    public static void DecoderRows(SaeParameters p, float[] factors)
    {
        for (var f = 0; f < factors.Length; f++)
            foreach (ref var w in p.WDec[f]) w *= factors[f];
    }
}
