using System.Globalization;
using CudaSae.Activations;

namespace CudaSae.Training;

/// <summary>The input dimension with the largest share of the mean squared norm, and the origin of that
/// share.</summary>
/// <param name="Column">Index of the dimension, from 0.</param>
/// <param name="Width">Number of dimensions.</param>
/// <param name="Share">Share of E‖x‖².</param>
/// <param name="FromMean">Share of the dimension's E x² that is its squared mean.</param>
/// <param name="MeanShare">Share of E‖x‖² that is the squared norm of the mean of all dimensions.</param>
readonly record struct NormShare(int Column, int Width, double Share, double FromMean, double MeanShare)
{
    public static NormShare Of(DataStatistics statistics)
    {
        var squares = statistics.SquaresByColumn();
        var column = Array.IndexOf(squares, squares.Max());
        var mean = statistics.Mean[column];
        return new(column, squares.Length, squares[column] / squares.Sum(),
            mean * mean * statistics.SampleRows / squares[column],
            statistics.Mean.Sum(m => (double)m * m) * statistics.SampleRows / squares.Sum());
    }

    string OfMean => $"warning: the mean of the inputs holds {Percent(MeanShare)} % of the mean squared norm and is "
        + "not subtracted before the encoder: if many latents stay silent, subtract it from the data, or choose a "
        + "preset with a pre-encoder bias such as topk";

    static string Percent(double share) =>
        (Math.Floor(1000 * share) / 10).ToString("0.0", CultureInfo.InvariantCulture);

    /// <summary>Whether the dimension has more than nine tenths of the norm, with at least eight dimensions.</summary>
    bool Dominates => Share > 0.9 && Width >= 8;

    /// <summary>Returns a warning of one line; null if the dimension does not dominate.</summary>
    /// <param name="centred">Whether the run subtracts the mean from its first step on.</param>
    /// <param name="scaled">Whether the run scales its inputs.</param>
    /// <param name="about">Whether the mean dominates so much that the scale is measured about the mean.</param>
    public string? Warning(bool centred, bool scaled, bool about)
    {
        if (!Dominates) return !centred && MeanShare > 0.9 ? OfMean : null;
        return $"warning: input dimension {Column} holds {Percent(Share)} % of the mean squared norm" + this switch
        {
            { FromMean: < 0.5 } => " and varies: loss and FVU measure little else; "
                + "divide it by its deviation in the data, or leave it out",
            _ when !centred => ", by its mean, which is not subtracted before the encoder: "
                + "subtract it from the data, or choose a preset with a pre-encoder bias such as topk",
            _ when scaled && about => ", by its mean: "
                + "the inputs are scaled by their spread about the mean, and no change is needed",
            _ => ", by its mean, which b_dec holds from the start: if many latents stay silent, "
                + $"try ScaleInputs = {!scaled}, or subtract it from the data",
        };
    }
}
