namespace CudaSae.Lab.Insight.Probes;

/// <summary>How well one latent's value tells rows with an answer from the other labelled rows.</summary>
/// <param name="Auroc">P(value with the answer > value without) + ½ P(equal); below ½ the latent is off for the answer.
/// NaN where no row, or every row, has the answer.</param>
/// <param name="F1">Best over thresholds t > 0 of 2 hits / (predicted + positives), predicting the answer where value ≥
/// t.</param>
/// <param name="Threshold">The t of that F1, one of the latent's own values; of equal F1 the greatest.</param>
/// <param name="Hits">Rows of <paramref name="Predicted"/> that do have the answer.</param>
/// <param name="Predicted">Labelled rows with value ≥ t.</param>
/// <param name="PreciseThreshold">The smallest t > 0 whose precision, hits / predicted, is above the one asked for and
/// ends on a row with the answer; NaN if there is none.</param>
/// <param name="PreciseHits">Its hits.</param>
/// <param name="Difference">Mean value with the answer less that without, over the standard deviation of all labelled
/// rows; 0 for a constant latent.</param>
readonly record struct LatentScore(double Auroc, double F1, float Threshold, long Hits, long Predicted,
    float PreciseThreshold, long PreciseHits, double Difference)
{
    /// <summary>As a classifier of either sign: max(AUROC, 1 − AUROC).</summary>
    public double Separation => Math.Max(Auroc, 1 - Auroc);

    public double Precision => Predicted == 0 ? 0 : (double)Hits / Predicted;
}

/// <summary>One latent's entries, sorted once, against any number of questions: of each question all classes in one
/// sweep, at a cost of entries and classes, not of their product. Rows that are not listed are one group of ties
/// at 0. Counts are whole numbers, so that AUROC is exact. One thread at a time; used again for the next
/// latent.</summary>
sealed class LatentRanks
{
    readonly double precision;
    float[] values = [];
    int[] rows = [];
    int entries;
    double reference;
    Tally[] tallies = [];

    /// <param name="precision">What a precise threshold must exceed.</param>
    public LatentRanks(double precision = 0.95) => this.precision = precision;

    /// <summary>Of one class, while values descend.</summary>
    struct Tally
    {
        public long Above, Group, Twice, Hits, Predicted, PreciseHits;      // Twice: 2 · (pairs won + ½ pairs tied)
        public double F1, Sum;
        public float Threshold, PreciseThreshold;
    }

    /// <summary>Takes a latent's entries; they are copied.</summary>
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
    /// <param name="answers">[rows], −1 where unlabelled.</param>
    /// <param name="totals">Rows of each class.</param>
    /// <param name="into">[classes].</param>
    public void Score(ReadOnlySpan<short> answers, ReadOnlySpan<long> totals, Span<LatentScore> into)
    {
        if (tallies.Length < totals.Length) tallies = new Tally[totals.Length];
        var tally = tallies.AsSpan(0, totals.Length);
        foreach (ref var t in tally) t = new() { PreciseThreshold = float.NaN, Threshold = float.NaN };
        long labelled = 0, above = 0;
        foreach (var total in totals) labelled += total;
        double sum = 0, squares = 0;            // of deviations from the reference
        reference = Reference(answers, labelled);
        var zeros = false;          // whether the group at 0 is behind us
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

    /// <summary>A value that some labelled row has: 0 where one is not listed. Sums about it do not cancel.</summary>
    double Reference(ReadOnlySpan<short> answers, long labelled)
    {
        var (listed, value) = (0L, 0.0);
        for (var i = 0; i < entries; i++)
            if (answers[rows[i]] >= 0) (listed, value) = (listed + 1, values[i]);
        return listed < labelled ? 0 : value;
    }

    /// <summary>Rows of one value. Each class among them wins against the other labelled rows below and ties with those
    /// in the group.</summary>
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

    /// <summary>The rows at 0: those that no entry names.</summary>
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
