namespace CudaSae.Lab.Insight.Probes;

/// <summary>A latent and how it scores for a property.</summary>
readonly record struct Candidate(int Latent, LatentScore Score);

/// <summary>The best of all latents for one property.</summary>
/// <param name="ByAuroc">Greatest max(AUROC, 1 − AUROC) over all rows; of equal ones the lowest latent, as everywhere
/// here.</param>
/// <param name="ByF1">Greatest best F1 over all rows.</param>
/// <param name="ChosenByAuroc">As <paramref name="ByAuroc"/>, over the rows that choose.</param>
/// <param name="ChosenByF1">As <paramref name="ByF1"/>, over the rows that choose.</param>
/// <param name="ByDifference">Greatest |difference| over the rows that choose, descending.</param>
sealed record PropertyResult(Candidate ByAuroc, Candidate ByF1, Candidate ChosenByAuroc, Candidate ChosenByF1,
    Candidate[] ByDifference);

/// <summary>Every latent against every property, a latent at a time: no dense code is ever stored.</summary>
sealed class LatentProbe
{
    const int LatentsAPart = 64;

    readonly Labels all, choosing;
    readonly BoardReconstruction? board;
    readonly int most;
    readonly Lock merging = new();
    readonly Best[] best;           // a property

    LatentProbe(Labels all, Labels choosing, int latents, int most, BoardReconstruction? board)
    {
        (this.all, this.choosing, this.most, this.board) = (all, choosing, most, board);
        best = NewBest();
        (BestSeparation, BestProperty) = (new double[latents], new int[latents]);
    }

    /// <summary>Of each property, in the order of <see cref="Labels.Properties"/>.</summary>
    public PropertyResult[] Results { get; private set; } = [];

    /// <summary>Of each latent its greatest max(AUROC, 1 − AUROC) over all rows and properties; ½ for one that never
    /// fires.</summary>
    public double[] BestSeparation { get; }

    /// <summary>The property that it is of.</summary>
    public int[] BestProperty { get; }

    /// <param name="choosing">The labels, but for rows that do not choose.</param>
    /// <param name="most">Candidates by difference that are kept a property.</param>
    /// <param name="board">Takes every latent's precise thresholds, where given.</param>
    public static LatentProbe Run(CodeStore store, Labels all, Labels choosing, int most,
        BoardReconstruction? board = null)
    {
        var probe = new LatentProbe(all, choosing, store.Counts.Count, most, board);
        foreach (var columns in store.Ranges())
            Parallel.For(0, (columns.Latents.Length + LatentsAPart - 1) / LatentsAPart, () => new Worker(probe),
                (part, _, worker) =>
            {
                for (var c = part * LatentsAPart; c < Math.Min(columns.Latents.Length, (part + 1) * LatentsAPart); c++)
                    worker.Score(columns, c);
                return worker;
            }, worker => worker.Merge());
        probe.Results = [.. probe.best.Select(b =>
            new PropertyResult(b.ByAuroc, b.ByF1, b.ChosenByAuroc, b.ChosenByF1, b.ByDifference.ToArray()))];
        return probe;
    }

    Best[] NewBest() => [.. all.Properties.Select(_ => new Best(most))];

    /// <summary>The best that was seen of one property. Which of two is better never depends on who came
    /// first.</summary>
    sealed class Best(int most)
    {
        public Candidate ByAuroc = new(-1, default), ByF1 = ByNothing, ChosenByAuroc = ByNothing,
            ChosenByF1 = ByNothing;

        static Candidate ByNothing => new(-1, default);

        public readonly List<Candidate> ByDifference = [];

        public void Take(int latent, in LatentScore everywhere, in LatentScore chosen)
        {
            Keep(ref ByAuroc, new(latent, everywhere), everywhere.Separation, ByAuroc.Score.Separation);
            Keep(ref ByF1, new(latent, everywhere), everywhere.F1, ByF1.Score.F1);
            Keep(ref ChosenByAuroc, new(latent, chosen), chosen.Separation, ChosenByAuroc.Score.Separation);
            Keep(ref ChosenByF1, new(latent, chosen), chosen.F1, ChosenByF1.Score.F1);
            if (Math.Abs(chosen.Difference) > 0) Insert(new(latent, chosen));
        }

        public void Take(Best other)
        {
            Keep(ref ByAuroc, other.ByAuroc, other.ByAuroc.Score.Separation, ByAuroc.Score.Separation);
            Keep(ref ByF1, other.ByF1, other.ByF1.Score.F1, ByF1.Score.F1);
            Keep(ref ChosenByAuroc, other.ChosenByAuroc, other.ChosenByAuroc.Score.Separation,
                ChosenByAuroc.Score.Separation);
            Keep(ref ChosenByF1, other.ChosenByF1, other.ChosenByF1.Score.F1, ChosenByF1.Score.F1);
            foreach (var candidate in other.ByDifference) Insert(candidate);
        }

        static void Keep(ref Candidate kept, Candidate candidate, double score, double before)
        {
            if (candidate.Latent < 0 || double.IsNaN(score)) return;
            if (kept.Latent < 0 || score > before || (score == before && candidate.Latent < kept.Latent))
                kept = candidate;
        }

        void Insert(Candidate candidate)
        {
            if (ByDifference.Count == most && (most == 0 || Compare(ByDifference[^1], candidate) <= 0)) return;
            if (ByDifference.Count == most) ByDifference.RemoveAt(most - 1);
            var at = ByDifference.FindIndex(kept => Compare(kept, candidate) > 0);
            ByDifference.Insert(at < 0 ? ByDifference.Count : at, candidate);
        }

        static int Compare(in Candidate a, in Candidate b) =>
            Math.Abs(b.Score.Difference).CompareTo(Math.Abs(a.Score.Difference)) is var order && order != 0 ? order
                : a.Latent.CompareTo(b.Latent);
    }

    /// <summary>One thread's: scores latents, remembers the best.</summary>
    sealed class Worker(LatentProbe probe)
    {
        readonly LatentRanks ranks = new(BoardReconstruction.Precision);
        readonly LatentScore[] everywhere = new LatentScore[Labels.MaxClasses],
            chosen = new LatentScore[Labels.MaxClasses];
        readonly Best[] best = probe.NewBest();

        public void Score(CodeColumns columns, int column)
        {
            var latent = columns.Latents[column];
            var (questions, properties) = (probe.all.Questions, probe.all.Properties);
            probe.BestSeparation[latent] = 0.5;
            if (columns.Rows(column).IsEmpty) return;
            ranks.Load(columns.Rows(column), columns.Values(column));
            for (int q = 0, p = 0; q < questions.Count; q++)
            {
                var classes = questions[q].Classes.Length;
                ranks.Score(probe.all[q], probe.all.Totals[q], everywhere.AsSpan(0, classes));
                ranks.Score(probe.choosing[q], probe.choosing.Totals[q], chosen.AsSpan(0, classes));
                for (; p < properties.Count && properties[p].Question == q; p++)
                {
                    var c = properties[p].Class;
                    best[p].Take(latent, everywhere[c], chosen[c]);
                    if (everywhere[c].Separation > probe.BestSeparation[latent])
                        (probe.BestSeparation[latent], probe.BestProperty[latent]) = (everywhere[c].Separation, p);
                    if (chosen[c].PreciseHits >= BoardReconstruction.LeastHits)
                        probe.board?.Mark(p, chosen[c].PreciseThreshold, columns.Rows(column), columns.Values(column));
                }
            }
        }

        public void Merge()
        {
            lock (probe.merging)
                for (var p = 0; p < best.Length; p++) probe.best[p].Take(best[p]);
        }
    }
}
