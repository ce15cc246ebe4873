namespace CudaSae.Lab.Insight.Probes;

/// <summary>Predicts boards from precise latents (Karvonen et al. 2024, arXiv 2408.00113). Latent i at threshold t
/// represents a property if its precision exceeds 0.95 with at least <see cref="LeastHits"/> hits on the selection
/// rows. Each latent takes the smallest such t. A row is predicted to have the property if one of these latents is at
/// or above its t. The score is the F1 of the predicted properties of a row against its true ones, as the mean over the
/// test rows.</summary>
sealed class BoardReconstruction
{
    public const double Precision = 0.95;
    public const int LeastHits = 10;

    const int Bits = 32;

    readonly Labels measuring;
    readonly uint[] predicted;      // [rows, words], one bit for each property
    readonly int words;
    readonly int[] latents;         // number of precise latents of each property

    /// <param name="measuring">Labels of the test rows.</param>
    /// <param name="budget">Maximum bytes for predictions.</param>
    /// <exception cref="SaeException">The predictions would take more.</exception>
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

    /// <summary>Number of precise latents of each property.</summary>
    public IReadOnlyList<int> Latents => latents;

    /// <summary>Marks the rows on which a precise latent of a property is at or above its threshold. It may be called
    /// from any thread; the result does not depend on the order of calls.</summary>
    public void Mark(int property, float threshold, ReadOnlySpan<int> rows, ReadOnlySpan<float> values)
    {
        Interlocked.Increment(ref latents[property]);
        var answers = measuring[measuring.Properties[property].Question];
        for (var i = 0; i < rows.Length; i++)
            if (values[i] >= threshold && answers[rows[i]] != Labels.Unlabelled)
                Interlocked.Or(ref predicted[(long)rows[i] * words + property / Bits], 1u << property % Bits);
    }

    /// <summary>The mean over rows of the F1 of a row's predicted properties. Rows without true and predicted
    /// properties are left out.</summary>
    /// <param name="Rows">Number of rows in the mean.</param>
    /// <param name="Properties">Number of properties with a precise latent.</param>
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
