using CudaSae.Lab.Insight.Probes;
using CudaSae.Lab.Report;

namespace CudaSae.Tests;

/// <summary>Probes compared with their definitions, written as loops over all pairs of rows and all
/// thresholds.</summary>
public class ProbeTests
{
    const int Rows = 300, Latents = 40;

    /// <summary>Computes AUROC and best F1 of one latent for one property, pair by pair.</summary>
    static (double Auroc, double F1) Formula(float[,] codes, int latent, Labels labels, Property property)
    {
        var (won, positives, negatives, best) = (0.0, 0L, 0L, 0.0);
        for (var a = 0; a < labels.Rows; a++)
        {
            var answer = labels[property.Question][a];
            if (answer < 0) continue;
            if (answer != property.Class)
            {
                negatives++;
                continue;
            }
            positives++;
            for (var b = 0; b < labels.Rows; b++)
                if (labels[property.Question][b] >= 0 && labels[property.Question][b] != property.Class)
                    won += codes[a, latent] > codes[b, latent] ? 1 : codes[a, latent] == codes[b, latent] ? 0.5 : 0;
        }
        for (var t = 0; t < labels.Rows; t++)
        {
            if (codes[t, latent] <= 0 || labels[property.Question][t] < 0) continue;
            var predicted = Enumerable.Range(0, labels.Rows)
                .Where(r => labels[property.Question][r] >= 0 && codes[r, latent] >= codes[t, latent]).ToArray();
            best = Math.Max(best,
                2.0 * predicted.Count(r =>
                    labels[property.Question][r] == property.Class) / (predicted.Length + positives));
        }
        return (won / ((double)positives * negatives), best);
    }

    static LatentScore[] Scores(float[,] codes, int latent, Labels labels, int question)
    {
        int[] rows = [.. Enumerable.Range(0, labels.Rows).Where(r => codes[r, latent] != 0)];
        var ranks = new LatentRanks();
        ranks.Load(rows, [.. rows.Select(r => codes[r, latent])]);
        var scores = new LatentScore[labels.Questions[question].Classes.Length];
        ranks.Score(labels[question], labels.Totals[question], scores);
        return scores;
    }

    [Fact]
    public void EveryScoreMatchesItsDefinition()
    {
        var codes = ProbeData.Codes(Rows, Latents, 1);
        var labels = ProbeData.Labels(codes, 2);
        Assert.Equal(["colour = red", "colour = green", "colour = blue", "big", "rare = a", "rare = b"],
            labels.Properties.Select(labels.Name));
        for (var latent = 0; latent < Latents; latent++)
            foreach (var property in labels.Properties)
            {
                var (auroc, f1) = Formula(codes, latent, labels, property);
                var score = Scores(codes, latent, labels, property.Question)[property.Class];
                Assert.Equal(auroc, score.Auroc, 1e-12);
                Assert.Equal(f1, score.F1, 1e-12);
                if (f1 > 0) Assert.Equal(f1, 2.0 * score.Hits / (score.Predicted + property.Positives), 1e-12);
            }
    }

    [Fact]
    public void TiesCountHalfAndTheSmallestPreciseThresholdIsKept()
    {
        var labels = new Labels([new("q", ["no", "yes"]) { Binary = true }], [[1, 1, 0, 0, 0, 1]]);
        var score = Scores(new float[,] { { 3 }, { 2 }, { 2 }, { 0 }, { 0 }, { 0 } }, 0, labels, 0)[1];
        Assert.Equal((3 + 2.5 + 1) / 9, score.Auroc, 1e-15);
        Assert.Equal((2.0 * 2 / (3 + 3), 2f, 2, 3), (score.F1, score.Threshold, score.Hits, score.Predicted));
        Assert.Equal((3f, 1), (score.PreciseThreshold, score.PreciseHits));
        var constant = Scores(new float[,] { { 2 }, { 2 }, { 2 }, { 2 }, { 2 }, { 2 } }, 0, labels, 0)[1];
        Assert.Equal((0.5, 0), (constant.Auroc, constant.Difference));
        // no row without the answer
        Assert.True(double.IsNaN(Scores(new float[6, 1], 0, labels.Where([true, true, false, false, false, true]),
            0)[1].Auroc));
    }

    [Fact]
    public void AnyBudgetGivesTheSameResult()
    {
        var codes = ProbeData.Codes(Rows, Latents, 3);
        var labels = ProbeData.Labels(codes, 4);
        var options = new ProbeOptions { K = [1, 3], BlockRows = 10 };
        ProbeFindings Find(long budget) =>
            ProbeRun.Run(new CodeStore(Latents, budget, ProbeData.Pass(codes)), labels, options);
        var whole = Find(1 << 30);
        Assert.Equal(1, whole.Passes);
        foreach (var budget in (long[])[1, 4000, 12_000])
        {
            var part = Find(budget);
            Assert.InRange(part.Passes, budget == 1 ? Latents + 2 : 4, Latents + 2);
            Assert.Equal(whole.Probe.BestSeparation, part.Probe.BestSeparation);
            Assert.Equal(whole.Held, part.Held);
            Assert.Equal(whole.Board, part.Board);
            for (var p = 0; p < labels.Properties.Count; p++)
            {
                Assert.Equal((whole.Probe.Results[p].ByAuroc, whole.Probe.Results[p].ByF1,
                    whole.Probe.Results[p].ChosenByF1),
                    (part.Probe.Results[p].ByAuroc, part.Probe.Results[p].ByF1, part.Probe.Results[p].ChosenByF1));
                Assert.Equal(whole.Probe.Results[p].ByDifference, part.Probe.Results[p].ByDifference);
            }
            foreach (var (a, b) in whole.Sparse.Zip(part.Sparse)) Assert.Equal(a.Sparse, b.Sparse);
        }
    }

    [Fact]
    public void TheBestLatentsMatchTheFormula()
    {
        var codes = ProbeData.Codes(Rows, Latents, 5);
        var labels = ProbeData.Labels(codes, 6);
        var chooses = Split.Half(Rows, 10, 1);
        var choosing = labels.Where(chooses);
        var probe = LatentProbe.Run(new CodeStore(Latents, 1 << 30, ProbeData.Pass(codes)), labels, choosing, 3);
        for (var p = 0; p < labels.Properties.Count; p++)
        {
            var formula = Enumerable.Range(0, Latents).Select(l => Formula(codes, l, labels, labels.Properties[p]))
                .ToArray();
            Assert.Equal(formula.Max(f => Math.Max(f.Auroc, 1 - f.Auroc)), probe.Results[p].ByAuroc.Score.Separation,
                1e-12);
            Assert.Equal(formula.Max(f => f.F1), probe.Results[p].ByF1.Score.F1, 1e-12);
            var chosen = Enumerable.Range(0, Latents).Select(l => Formula(codes, l, choosing, choosing.Properties[p]))
                .ToArray();
            Assert.Equal(chosen.Max(f => f.F1), probe.Results[p].ChosenByF1.Score.F1, 1e-12);
            var differences = Enumerable.Range(0, Latents)
                .Select(l => Math.Abs(Difference(codes, l, choosing, choosing.Properties[p]))).OrderDescending().Take(3)
                .ToArray();
            foreach (var (expected, got) in differences.Zip(probe.Results[p].ByDifference))
                Assert.Equal(expected, Math.Abs(got.Score.Difference), 1e-9);
        }
        for (var l = 0; l < Latents; l++)
            Assert.Equal(labels.Properties.Max(p => Formula(codes, l, labels, p).Auroc is var a ? Math.Max(a, 1 - a)
                : 0),
                probe.BestSeparation[l], 1e-12);
    }

    static double Difference(float[,] codes, int latent, Labels labels, Property property)
    {
        var rows = Enumerable.Range(0, labels.Rows).Where(r => labels[property.Question][r] >= 0)
            .Select(r => ((double)codes[r, latent], labels[property.Question][r] == property.Class)).ToArray();
        var mean = rows.Average(r => r.Item1);
        var deviation = Math.Sqrt(rows.Average(r => (r.Item1 - mean) * (r.Item1 - mean)));
        return deviation == 0 ? 0
            : (rows.Where(r => r.Item2).Average(r => r.Item1) - rows.Where(r => !r.Item2)
                .Average(r => r.Item1)) / deviation;
    }

    [Fact]
    public void ABoardIsRebuiltByItsPreciseLatents()
    {
        var codes = ProbeData.Codes(Rows, Latents, 7);
        for (var r = 0; r < Rows; r++)
            (codes[r, 6], codes[r, 7]) = (r % 3 == 0 ? 1 + r % 5 : 0, r % 3 == 1 && r % 2 == 0 ? 2 : 0);
        var labels = new Labels([new("square", ["a", "b", "c"])],
            [[.. Enumerable.Range(0, Rows).Select(r => (short)(r % 3))]]);
        var chooses = Split.Half(Rows, 10, 2);
        var board = new BoardReconstruction(labels.Where([.. chooses.Select(c => !c)]), 1 << 20);
        LatentProbe.Run(new CodeStore(Latents, 1 << 30, ProbeData.Pass(codes)), labels, labels.Where(chooses), 0,
            board);
        Assert.Equal(2, board.Measure().Properties);
        Assert.Equal(0, board.Latents[2]);
        int[] test = [.. Enumerable.Range(0, Rows).Where(r => !chooses[r])];
        var expected = test.Average(r => r % 3 == 0 || (r % 3 == 1 && r % 2 == 0) ? 1.0 : 0);
        Assert.Equal((expected, test.Length), (board.Measure().F1, board.Measure().Rows));
        AssertOneLine("--memory", () => new BoardReconstruction(labels, 100));
    }

    [Fact]
    public void TheSplitKeepsBlocksTogether()
    {
        var chooses = Split.Half(1005, 10, 3);
        Assert.Equal(51, Enumerable.Range(0, 101).Count(b => chooses[10 * b]));
        for (var r = 0; r < 1005; r++) Assert.Equal(chooses[r / 10 * 10], chooses[r]);
        Assert.Equal(chooses, Split.Half(1005, 10, 3));
        Assert.NotEqual(chooses, Split.Half(1005, 10, 4));
        AssertOneLine("cannot be halved", () => Split.Half(10, 10, 1));
    }

    [Fact]
    public void FiguresShowTheFindings()
    {
        using var folder = new TemporaryFolder();
        var codes = ProbeData.Codes(Rows, Latents, 8);
        short[][] columns = [.. Enumerable.Range(0, 6)
            .Select(q => Enumerable.Range(0, Rows)
                .Select(r => (short)(q == 5 ? 0 : q < 2 && codes[r, q + 4] > 0 ? 1 : (r + q) % 2 == 0 ? 0 : 2))
                .ToArray())];
        var labels = new Labels([.. columns.Select((_, q) => new Question($"{q}", ["empty", "mine", "theirs"]))],
            columns);
        var findings = ProbeRun.Run(new CodeStore(Latents, 1 << 30, ProbeData.Pass(codes)), labels,
            new() { K = [1, 2], BlockRows = 10 });
        ProbeChapter.Of(findings, (2, 3), "probe").Save(folder["run"]);
        var figures = Assert.Single(Chapter.Load(folder["run"])).Figures.ToDictionary(f => f.Id);
        var known = Assert.IsType<HeatFigure>(figures["board-known"]);
        Assert.Equal((2, 3, float.NaN), (known.Rows.Length, known.Columns.Length, known.Values[5]));
        for (var q = 0; q < 5; q++)
            Assert.Equal(findings.Decidable.Count(p => labels.Properties[p].Question == q
                && findings.Probe.Results[p].ByAuroc.Score.Separation > 0.9),
                (int)known.Values[q]);
        Assert.Equal(1, Assert.IsType<HeatFigure>(figures["board-class-1"]).Values[0]);
        Assert.Equal(Latents - 1, Assert.IsType<HistogramFigure>(figures["latent-auroc"]).Series[0].Counts.Sum());
        Assert.Equal(findings.Decidable.Length,
            Assert.IsType<TableFigure>(figures["best-latents"]).Columns[0].Texts!.Length);
        foreach (var figure in figures.Values)
            Assert.False(figure.Finding.Length == 0 || figure.Formula.Length == 0 && figure.Id != "summary", figure.Id);
        AssertOneLine("8 squares", () => ProbeChapter.Of(findings, (2, 4), ""));
    }
}
