using CudaSae.Numerics;

namespace CudaSae.Bench.Ladder;

/// <summary>Operands of the ladder, a function of the shape alone: x [B, ld] and w [n, ld] in bfloat16, bias [n].
/// Pre-activations have variance 1.</summary>
/// <param name="Depth">ld: d rounded up to 64, the rest zeros.</param>
sealed record LadderProblem(int Rows, int Width, int Columns, int Depth, ushort[] X, ushort[] W, float[] Bias)
{
    /// <summary>What a value must exceed on the rung that filters: about 1 in 160 does.</summary>
    public const float Limit = 2.5f;

    /// <summary>Rows that are computed in double, spread over all.</summary>
    const int SampledRows = 16;

    public static LadderProblem Make(int rows, int width, int columns)
    {
        var depth = (width + 63) / 64 * 64;
        if ((long)columns * depth > Array.MaxLength || (long)rows * depth > Array.MaxLength)
            throw new SaeException($"the ladder's operands of B {rows}, d {width}, n {columns} have more than "
                + $"{Array.MaxLength} elements; use a smaller --shape");
        var bias = new float[columns];
        for (var f = 0; f < columns; f++) bias[f] = Uniform(3, f, 0) * 0.25f;
        // Uniform in [−√3, √3): variance 1, and 1 / d.
        return new(rows, width, columns, depth, Fill(rows, width, depth, 1, 1),
            Fill(columns, width, depth, 2, 1 / MathF.Sqrt(width)), bias);
    }

    static ushort[] Fill(int rows, int width, int depth, ulong stream, float scale)
    {
        var to = new ushort[(long)rows * depth];
        Parallel.For(0, rows, b =>
        {
            for (var i = 0; i < width; i++)
                to[(long)b * depth + i] =
                    (ushort)(BitConverter.SingleToUInt32Bits(Uniform(stream, b, i) * scale) >> 16);
        });
        return to;
    }

    static float Uniform(ulong stream, long row, int column) =>
        (float)(2 * CounterRandom.Uniform(7, stream, (ulong)row, (ulong)column) - 1) * 1.7320508f;

    /// <summary>What rounding may make of a sum, relative to Σ|x||w| + |b|: d + 1 roundings in any order.</summary>
    public double AllowedError => (Depth + 1) * Math.Pow(2, -23);

    /// <summary>Sampled rows, ascending.</summary>
    public int[] Sample => [.. Enumerable.Range(0, Math.Min(SampledRows, Rows))
        .Select(i => (int)((long)i * (Rows - 1) / Math.Max(1, Math.Min(SampledRows, Rows) - 1))).Distinct()];

    /// <summary>One row of C in double, and what float32 sums of it may differ by.</summary>
    public (double[] Value, double[] Allowed) Reference(int row)
    {
        double[] value = new double[Columns], allowed = new double[Columns];
        var x = X.AsSpan((int)((long)row * Depth), Width).ToArray().Select(Float).ToArray();
        Parallel.For(0, Columns, f =>
        {
            double sum = Bias[f], magnitude = Math.Abs(Bias[f]);
            for (var i = 0; i < Width; i++)
            {
                var product = (double)x[i] * Float(W[(long)f * Depth + i]);
                sum += product;
                magnitude += Math.Abs(product);
            }
            (value[f], allowed[f]) = (sum, magnitude * AllowedError);
        });
        return (value, allowed);
    }

    static float Float(ushort bf16) => BitConverter.UInt32BitsToSingle((uint)bf16 << 16);
}
