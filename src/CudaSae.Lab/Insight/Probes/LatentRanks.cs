namespace CudaSae.Lab.Insight.Probes;

/// <summary>How well the value of one latent separates rows with an answer from the other labelled rows.</summary>
/// <param name="Auroc">P(value with the answer > value without) + ½ P(equal). Below ½ the latent is smaller with the
/// answer. NaN if no row or every row has the answer.</param>
/// <param name="F1">The largest 2 hits / (predicted + positives) over thresholds t > 0, where value ≥ t predicts the
/// answer.</param>
/// <param name="Threshold">The t of that F1, which is a value of the latent; the greatest t if several have that
/// F1.</param>
/// <param name="Hits">Number of predicted rows that have the answer.</param>
/// <param name="Predicted">Number of labelled rows with value ≥ t.</param>
/// <param name="PreciseThreshold">The smallest t > 0 that is the value of a row with the answer and whose precision,
/// hits / predicted, is above the required one; NaN if there is none.</param>
/// <param name="PreciseHits">The hits at that threshold.</param>
/// <param name="Difference">Mean value with the answer minus mean value without it, divided by the standard deviation
/// over all labelled rows; 0 for a constant latent.</param>
readonly record struct LatentScore(double Auroc, double F1, float Threshold, long Hits, long Predicted,
    float PreciseThreshold, long PreciseHits, double Difference)
{
    /// <summary>The AUROC with the better sign: max(AUROC, 1 − AUROC).</summary>
    public double Separation => Math.Max(Auroc, 1 - Auroc);

    public double Precision => Predicted == 0 ? 0 : (double)Hits / Predicted;
}

/// <summary>Scores the entries of one latent, sorted once, for any number of questions. A question's classes take one
/// sweep, whose cost is the sum of entries and classes, not their product. Unlisted rows are a group of ties at 0.
/// Counts are whole numbers, so that AUROC is exact. An instance is for one thread at a time and is used again for the
/// next latent.</summary>
sealed class LatentRanks
{
    readonly double precision;
    float[] values = [];
    int[] rows = [];
    int entries;
    double reference;
    Tally[] tallies = [];

    /// <param name="precision">The precision that a precise threshold must exceed.</param>
    public LatentRanks(double precision = 0.95) => this.precision = precision;

    /// <summary>The counts of one class while values descend.</summary>
    struct Tally
    {
        public long Above, Group, Twice, Hits, Predicted, PreciseHits;      // Twice: 2 · (pairs won + ½ pairs tied)
        public double F1, Sum;
        public float Threshold, PreciseThreshold;
    }

    /// <summary>Copies and sorts a latent's entries.</summary>
    public void Load(ReadOnlySpan<int> rows, ReadOnlySpan<float> values)
    {
        if (this.rows.Length < rows.Length)
            (this.rows, this.values) = (new int[rows.Length * 5 / 4], new float[rows.Length * 5 / 4]);
        entries = rows.Length;
        rows.CopyTo(this.rows);
        values.CopyTo(this.values);
        MemoryExtensions.Sort(this.values.AsSpan(0, entries), this.rows.AsSpan(0, entries));
    }

    /// <summary>Scores every class of a question.</summary>
    /// <param name="answers">[rows], −1 for unlabelled rows.</param>
    /// <param name="totals">Number of rows of each class.</param>
    /// <param name="into">[classes].</param>
    public void Score(ReadOnlySpan<short> answers, ReadOnlySpan<long> totals, Span<LatentScore> into)
    {
        if (tallies.Length < totals.Length) tallies = new Tally[totals.Length];
        var tally = tallies.AsSpan(0, totals.Length);
        foreach (ref var t in tally) t = new() { PreciseThreshold = float.NaN, Threshold = float.NaN };
        long labelled = 0, above = 0;
        foreach (var total in totals) labelled += total;
        double sum = 0, squares = 0;            // sums of deviations from the reference
        reference = Reference(answers, labelled);
        var zeros = false;          // whether the group at 0 has been visited
        for (var last = entries; last > 0;)
        {
            var first = last - 1;
            while (first > 0 && values[first - 1] == values[last - 1]) first--;
            if (!zeros && values[first] < 0)
            {
                above = Zeros(answers, tally, totals, labelled, above);
                zeros = true;
            }
            var group = Group(answers, rows.AsSpan(first, last - first), tally, totals, labelled, above, values[first]);
            sum += group * (values[first] - reference);
            squares += group * (values[first] - reference) * (values[first] - reference);
            above += group;
            last = first;
        }
        if (!zeros) Zeros(answers, tally, totals, labelled, above);
        for (var c = 0; c < into.Length; c++) into[c] = Finish(tally[c], totals[c], labelled, sum, squares);
    }

    /// <summary>A value of some labelled row; 0 if a labelled row is not listed. Sums of deviations from it do not
    /// cancel.</summary>
    double Reference(ReadOnlySpan<short> answers, long labelled)
    {
        var (listed, value) = (0L, 0.0);
        for (var i = 0; i < entries; i++)
            if (answers[rows[i]] >= 0) (listed, value) = (listed + 1, values[i]);
        return listed < labelled ? 0 : value;
    }

    /// <summary>Visits the rows of one value. The rows of a class win against the rows of other classes below and tie
    /// with those in the group.</summary>
    long Group(ReadOnlySpan<short> answers, ReadOnlySpan<int> group, Span<Tally> tally, ReadOnlySpan<long> totals,
        long labelled, long above, float value)
    {
        long size = 0;
        foreach (var row in group)
        {
            if (answers[row] is not (>= 0 and var c)) continue;
            tally[c].Group++;
            size++;
        }
        foreach (var row in group)
        {
            if (answers[row] is not (>= 0 and var c) || tally[c].Group == 0) continue;
            ref var t = ref tally[c];
            Close(ref t, totals[c], labelled, above, size);
            t.Sum += t.Group * (value - reference);
            t.Above += t.Group;
            t.Group = 0;
            if (value <= 0) continue;
            var (hits, predicted) = (t.Above, above + size);
            if (2.0 * hits / (predicted + totals[c]) is var f1 && f1 > t.F1)
                (t.F1, t.Threshold, t.Hits, t.Predicted) = (f1, value, hits, predicted);
            if (hits > precision * predicted) (t.PreciseThreshold, t.PreciseHits) = (value, hits);
        }
        return size;
    }

    /// <summary>Visits the rows at 0, which have no entry.</summary>
    long Zeros(ReadOnlySpan<short> answers, Span<Tally> tally, ReadOnlySpan<long> totals, long labelled, long above)
    {
        Span<long> below = stackalloc long[Labels.MaxClasses];
        below = below[..totals.Length];
        below.Clear();
        long under = 0;
        for (var i = 0; i < entries && values[i] < 0; i++)
            if (answers[rows[i]] is >= 0 and var c)
            {
                below[c]++;
                under++;
            }
        var size = labelled - above - under;
        for (var c = 0; c < totals.Length; c++)
        {
            ref var t = ref tally[c];
            t.Group = totals[c] - t.Above - below[c];
            Close(ref t, totals[c], labelled, above, size);
            t.Above += t.Group;
            t.Group = 0;
        }
        return above + size;
    }

    static void Close(ref Tally t, long total, long labelled, long above, long size) =>
        t.Twice += t.Group * (2 * (labelled - total - (above - t.Above)) - (size - t.Group));

    static LatentScore Finish(in Tally t, long total, long labelled, double sum, double squares)
    {
        var others = labelled - total;
        if (total == 0 || others == 0)
            return new(double.NaN, t.F1, t.Threshold, t.Hits, t.Predicted, t.PreciseThreshold, t.PreciseHits, 0);
        var variance = squares / labelled - sum / labelled * (sum / labelled);
        var difference = variance > 1e-12 * squares / labelled
            ? (t.Sum / total - (sum - t.Sum) / others) / Math.Sqrt(variance) : 0;
        return new(t.Twice / (2.0 * total * others), t.F1, t.Threshold, t.Hits, t.Predicted, t.PreciseThreshold,
            t.PreciseHits, difference);
    }
}
