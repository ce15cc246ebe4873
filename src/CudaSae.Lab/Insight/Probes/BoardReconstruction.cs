namespace CudaSae.Lab.Insight.Probes;

/// <summary>A board as precise latents predict it (Karvonen et al. 2024, arXiv 2408.00113): latent i at threshold t
/// stands for a property if over the rows that choose its precision exceeds 0.95, at <see cref="LeastHits"/> hits or
/// more; a row has the property if one of these latents is at or above its t. Of a latent the smallest such t is taken,
/// so each has one. Measured on the rows that do not choose: F1 of the predicted properties of a row against
/// its true ones, mean over rows.</summary>
sealed class BoardReconstruction
{
    public const double Precision = 0.95;
    public const int LeastHits = 10;

    const int Bits = 32;

    readonly Labels measuring;
    readonly uint[] predicted;      // [rows, words], a bit a property
    readonly int words;
    readonly int[] latents;         // precise ones, a property

    /// <param name="measuring">Labels of the rows that do not choose.</param>
    /// <param name="budget">Bytes that predictions may take.</param>
    /// <exception cref="SaeException">They would take more.</exception>
    public BoardReconstruction(Labels measuring, long budget)
    {
        (this.measuring, words) = (measuring, (measuring.Properties.Count + Bits - 1) / Bits);
        var size = (long)measuring.Rows * words;
        if (size > Array.MaxLength || size * sizeof(uint) > budget)
            throw new SaeException($"predictions of {measuring.Properties.Count} properties on {measuring.Rows} rows "
                + $"take {size * sizeof(uint) >> 20} MiB, the budget is {budget >> 20} MiB; give fewer --rows, or a "
                + "larger --memory");
        (predicted, latents) = (new uint[size], new int[measuring.Properties.Count]);
    }

    /// <summary>Precise latents of each property.</summary>
    public IReadOnlyList<int> Latents => latents;

    /// <summary>A latent that is precise for a property at or above a threshold. Any thread, any order: the result is
    /// the same.</summary>
    public void Mark(int property, float threshold, ReadOnlySpan<int> rows, ReadOnlySpan<float> values)
    {
        Interlocked.Increment(ref latents[property]);
        var answers = measuring[measuring.Properties[property].Question];
        for (var i = 0; i < rows.Length; i++)
            if (values[i] >= threshold && answers[rows[i]] != Labels.Unlabelled)
                Interlocked.Or(ref predicted[(long)rows[i] * words + property / Bits], 1u << property % Bits);
    }

    /// <summary>Mean over rows of the F1 of a row's predicted properties. Rows that have none and are predicted none
    /// are left out.</summary>
    /// <param name="Rows">Rows that are counted.</param>
    /// <param name="Properties">Properties with a precise latent.</param>
    public readonly record struct Result(double F1, double Precision, double Recall, int Rows, int Properties);

    public Result Measure()
    {
        double f1 = 0;
        long allHits = 0, allPredicted = 0, allTrue = 0;
        var counted = 0;
        for (var row = 0; row < measuring.Rows; row++)
        {
            var (hits, yes, have) = Row(row);
            if (yes + have == 0) continue;
            (allHits, allPredicted, allTrue, counted) =
                (allHits + hits, allPredicted + yes, allTrue + have, counted + 1);
            f1 += 2.0 * hits / (yes + have);
        }
        return new(f1 / counted, (double)allHits / allPredicted, (double)allHits / allTrue, counted,
            latents.Count(l => l > 0));
    }

    (int Hits, int Predicted, int True) Row(int row)
    {
        var (hits, yes, have) = (0, 0, 0);
        for (var p = 0; p < measuring.Properties.Count; p++)
        {
            var property = measuring.Properties[p];
            var truth = measuring[property.Question][row] == property.Class;
            var guess = (predicted[(long)row * words + p / Bits] >> p % Bits & 1) != 0;
            (hits, yes, have) = (hits + (truth && guess ? 1 : 0), yes + (guess ? 1 : 0), have + (truth ? 1 : 0));
        }
        return (hits, yes, have);
    }
}
