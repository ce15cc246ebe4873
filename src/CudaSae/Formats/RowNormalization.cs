namespace CudaSae.Formats;

/// <summary>Applies an <see cref="InputNormalization"/> to one row, in double.</summary>
static class RowNormalization
{
    const double Epsilon = 1e-5;

    /// <summary>Normalizes a row in place.</summary>
    /// <returns>The numbers that undo it: x = row · Scale + Shift.</returns>
    public static (float Scale, float Shift) Apply(InputNormalization kind, Span<float> row) => kind switch
    {
        InputNormalization.LayerNorm => LayerNorm(row),
        InputNormalization.ConstantNorm => ConstantNorm(row),
        _ => (1, 0),
    };

    static (float, float) LayerNorm(Span<float> row)
    {
        double mean = 0, squares = 0;
        foreach (var x in row) mean += x;
        mean /= row.Length;
        foreach (var x in row) squares += (x - mean) * (x - mean);
        var std = Math.Sqrt(squares / Math.Max(1, row.Length - 1));
        foreach (ref var x in row) x = (float)((x - mean) / (std + Epsilon));
        return ((float)std, (float)mean);       // without ε, as in OpenAI's code and SAELens
    }

    static (float, float) ConstantNorm(Span<float> row)
    {
        double squares = 0;
        foreach (var x in row) squares += (double)x * x;
        if (squares == 0) return (1, 0);
        var scale = Math.Sqrt(squares / row.Length);
        foreach (ref var x in row) x = (float)(x / scale);
        return ((float)scale, 0);
    }
}
