using CudaSae.Activations;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Training;

/// <summary>Initial weights. Decoder rows have random directions or uniform numbers, and WEnc is a multiple of them.
/// b_enc is 0 or set from the data, and b_dec is the centre of the target.</summary>
static class Initialization
{
    /// <summary>Fills <paramref name="into"/>; the row of latent f depends only on (seed, f).</summary>
    /// <param name="into">Rows of all latents, or of the latents from <paramref name="first"/> on.</param>
    /// <param name="spec">The spec of the whole SAE.</param>
    /// <param name="statistics">Statistics of the input.</param>
    /// <param name="target">Statistics of a transcoder's target; null for the input.</param>
    /// <param name="first">The latent of the first row.</param>
    public static void Fill(SaeParameters into, SaeSpec spec, TrainConfig config, DataStatistics statistics,
        DataScale scale, DataStatistics? target = null, int first = 0)
    {
        for (long row = 0; row < into.WEnc.Rows; row++) FillRow(into, spec, config, row, first + row);
        Array.Clear(into.BEnc);
        if (spec.Selection is Selection.JumpRelu jump) Array.Fill(into.Threshold, Math.Max(jump.InitialThreshold, 0));
        var middle = target ?? statistics;
        var centre = config.DecoderBias switch
        {
            DecoderBiasInit.Mean => middle.Mean,
            DecoderBiasInit.GeometricMedian => middle.GeometricMedian(),
            _ => new double[into.BDec.Length],
        };
        for (var i = 0; i < into.BDec.Length; i++) into.BDec[i] = (float)(centre[i] * scale.TargetScale);
        if (config.InitialFiringRate > 0) SetFiringRate(into, spec, config.InitialFiringRate, statistics, scale);
    }

    /// <summary>Fills the row of latent <paramref name="f"/>.</summary>
    static void FillRow(SaeParameters into, SaeSpec spec, TrainConfig config, long row, long f)
    {
        Span<float> dec = into.WDec[row], enc = into.WEnc[row];
        if (config.DecoderInit == DecoderInit.Uniform)
        {
            var bound = 1 / Math.Sqrt(dec.Length);
            for (var i = 0; i < dec.Length; i++)
                dec[i] = (float)(bound * (2 * CounterRandom.Uniform(config.Seed, 0, (ulong)f, (ulong)i) - 1));
        }
        else
        {
            UnitVector(dec, config.Seed, f);
            foreach (ref var w in dec) w *= config.DecoderInitNorm;
        }
        // A transcoder's input has a different space from its target, so its encoder starts with separate directions.
        if (spec.Transcoder is null) dec.CopyTo(enc);
        else UnitVector(enc, config.Seed ^ 0x656e63, f);
        var norm = Matrix.Norm(enc);
        var factor = config.EncoderInitNorm > 0 ? config.EncoderInitNorm / norm
            : (double)spec.InputWidth / spec.Latents;
        if (spec.Tying == Tying.Tied) factor = 1;
        foreach (ref var w in enc) w = (float)(w * factor);
        if (spec.Tying == Tying.Scaled) into.Scale[row] = (float)factor;
        if (spec.DecoderNorm == DecoderNorm.Unit && Matrix.Norm(dec) is var length)
            foreach (ref var w in dec) w = (float)(w / length);
    }

    /// <summary>Sets b_enc so that z exceeds its threshold on this share of a sample of the data (Anthropic, January
    /// 2025: 10,000 / n).</summary>
    static void SetFiringRate(SaeParameters into, SaeSpec spec, double rate, DataStatistics statistics, DataScale scale)
    {
        var rows = Math.Min(statistics.SampleRows, 1024);
        Parallel.For(0, (int)into.WEnc.Rows, () => new float[rows], (f, _, z) =>
        {
            var weights = into.WEnc[f];
            for (var b = 0; b < rows; b++)
            {
                double sum = 0;
                var x = statistics.Row(b);
                for (var i = 0; i < weights.Length; i++)
                    sum += weights[i] * (x[i] * scale.InputScale - (spec.PreEncoderBias ? into.BDec[i] : 0));
                z[b] = (float)sum;
            }
            Array.Sort(z);
            var quantile = z[Math.Clamp((int)(rows * (1 - rate)), 0, rows - 1)];
            into.BEnc[f] = (into.Threshold.Length > 0 ? into.Threshold[f] : 0) - quantile;
            return z;
        }, _ => { });
    }

    static void UnitVector(Span<float> row, ulong seed, long f)
    {
        double squares = 0;
        for (var i = 0; i < row.Length; i++)
        {
            row[i] = (float)Normal(seed, f, i);
            squares += (double)row[i] * row[i];
        }
        for (var i = 0; i < row.Length; i++) row[i] = (float)(row[i] / Math.Sqrt(squares));
    }

    // This is the Box-Muller transform of two hashes of (seed, row, column).
    static double Normal(ulong seed, long row, long column)
    {
        var bits = SplitMix.Mix(SplitMix.Mix(seed + 0x9e3779b97f4a7c15) ^ SplitMix.Mix((ulong)row * 0xbf58476d1ce4e5b9
            + (ulong)column + 1));
        var radius = ((bits >> 11) + 1) * Math.Pow(2, -53);
        var angle = (SplitMix.Mix(bits) >> 11) * Math.Pow(2, -53);
        return Math.Sqrt(-2 * Math.Log(radius)) * Math.Cos(2 * Math.PI * angle);
    }
}
