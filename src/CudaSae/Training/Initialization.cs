using CudaSae.Data;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>Starting weights: unit decoder rows in random directions, WEnc their multiple, b_enc 0, b_dec in the middle of the data.</summary>
public static class Initialization
{
    /// <summary>Fills <paramref name="into"/>; row f depends on (seed, f) alone.</summary>
    public static void Fill(SaeParameters into, TrainConfig config, DataStatistics statistics, DataScale scale)
    {
        for (long f = 0; f < into.WDec.Rows; f++)
        {
            var row = into.WDec[f];
            UnitVector(row, config.Seed, f);
            for (var i = 0; i < row.Length; i++) into.WEnc[f][i] = config.EncoderInitNorm * row[i];
        }
        Array.Clear(into.BEnc);
        var centre = config.DecoderBias switch
        {
            DecoderBiasInit.Mean => statistics.Mean,
            DecoderBiasInit.GeometricMedian => statistics.GeometricMedian(),
            _ => new double[into.BDec.Length],
        };
        for (var i = 0; i < into.BDec.Length; i++) into.BDec[i] = (float)(centre[i] * scale.InputScale);
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

    // Box and Muller, on two hashes of (seed, row, column).
    static double Normal(ulong seed, long row, long column)
    {
        var bits = SplitMix.Mix(SplitMix.Mix(seed + 0x9e3779b97f4a7c15) ^ SplitMix.Mix((ulong)row * 0xbf58476d1ce4e5b9 + (ulong)column + 1));
        var radius = ((bits >> 11) + 1) * Math.Pow(2, -53);
        var angle = (SplitMix.Mix(bits) >> 11) * Math.Pow(2, -53);
        return Math.Sqrt(-2 * Math.Log(radius)) * Math.Cos(2 * Math.PI * angle);
    }
}
