using CudaSae.Lab.Report;

namespace CudaSae.Testing.Problems;

/// <summary>A figure of every kind, with what tends to break pages: NaN, nothing at all, and texts that are
/// markup.</summary>
static class ReportFigures
{
    public const string Hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \" ' & \u202e,";

    static readonly Axis Step = new("step"), Loss = new("loss", "nats", Log: true);

    public static Section[] All()
    {
        var random = new Random(7);
        float[] Noise(int count, double scale = 1) =>
            [.. Enumerable.Range(0, count).Select(_ => (float)(scale * random.NextDouble()))];
        float[] steps = [1, 2, 3, 4], curve = [0.1f, float.NaN, 1e-20f, float.PositiveInfinity];
        return
        [
            new("good", "Figures", 100,
            [
                new LinesFigure("lines", "Lines", Step, Loss,
                    [new("a", steps, curve), new("b", steps, [4, 3, 2, 1]) { Yardstick = true },
                        new("c", [2], [0.3f]) { Points = true, Labels = ["k = 32"] }])
                    { Finding = "It falls.", Formula = "loss = a + b" },
                new HistogramFigure("histogram", "Histogram", new("x"), new("latents", Log: true), [0, 1, 10, 100],
                    [new("all", [5, 0, 7]), new("some", [1, 2, 3])]),
                new ScatterFigure("scatter", "Scatter",
                    [new("cosine", Noise(300)),
                        new("density", [0, .. Noise(299)]) { Log = true, Formula = "firings / rows" },
                        new("bias", Noise(300)) { Unit = "σ" }],
                    "cosine", "bias") { Z = "density", Colour = "cosine" },
                new ScatterFigure("pairs", "Pairs", [new("L0", [8, 16]), new("FVU", [0.3f, 0.2f])], "L0", "FVU")
                {
                    Latents = null
                },
                new HeatFigure("heat", "Heat", ["r0", "r1"], ["c0", "c1", "c2"], [1, 2, float.NaN, -3, 0, 1e-7f])
                {
                    X = new("column"), Y = new("row"), Colour = new("cosine"), From = -3, To = 3
                },
                new TableFigure("table", "Table",
                    [new("latent", Numbers: [3, 1, 2]), new("text", ["a", "b, \"c\"", "d"]),
                        new("density", Numbers: [0.1, null, double.NaN]) { Digits = 2, Formula = "share" }]),
                new ImagesFigure("images", "Images", 2, 2, [0, 64, 128, 255, 1, 2, 3, 4], ["first", "second"])
                {
                    Signed = true
                },
            ]) { Command = "cudasae inspect RUN" },
            new("bad", "Nothing " + Hostile, 200,
            [
                new LinesFigure("nan", "Nothing finite", Step, Loss, [new("a", [1, 2], [float.NaN, -1])]),
                new LinesFigure("no-lines", "No series", Step, Loss, []),
                new HistogramFigure("no-counts", "No counts", Step, Loss, [], []),
                new ScatterFigure("no-points", "No points", [new("a", []), new("b", [])], "a", "b"),
                new ScatterFigure("nan-points", "Points of NaN", [new("a", [float.NaN]), new("b", [1]), new("c", [1])],
                    "a", "b") { Z = "c" },
                new HeatFigure("no-cells", "No cells", [], [], []),
                new TableFigure("hostile", Hostile, [new(Hostile, [Hostile]) { Formula = Hostile }])
                {
                    Finding = Hostile, Formula = Hostile
                },
                new ImagesFigure("no-images", "No images", 3, 3, [], []),
            ]),
        ];
    }

    /// <summary>RFC 4180.</summary>
    public static List<string[]> ReadCsv(string text)
    {
        var (lines, line, cell, quoted) = (new List<string[]>(), new List<string>(), "", false);
        for (var i = 0; i < text.Length; i++)
            switch (text[i])
            {
                case '"' when quoted && i + 1 < text.Length && text[i + 1] == '"': cell += text[++i]; break;
                case '"': quoted = !quoted; break;
                case ',' when !quoted: line.Add(cell); cell = ""; break;
                case '\r' when !quoted: break;
                case '\n' when !quoted: lines.Add([.. line, cell]); line.Clear(); cell = ""; break;
                default: cell += text[i]; break;
            }
        return lines;
    }
}
