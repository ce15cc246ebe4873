using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CudaSae.Lab.Report;

namespace CudaSae.Tests;

/// <summary>Figures in files, in numbers for other programs, and on the page.</summary>
[Trait("speed", "slow")]
public class ReportTests
{
    static string Json(Chapter chapter) => JsonSerializer.Serialize(chapter, ReportJson.Default.Chapter);

    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    [Fact]
    public void EveryKindOfFigureIsReadBack()
    {
        using var folder = new TemporaryFolder();
        var chapters = ReportFigures.All();
        foreach (var chapter in chapters) chapter.Save(folder["run"]);
        var read = Chapter.Load(folder["run"]);
        Assert.Equal(chapters.Select(Json), read.Select(Json));
        Assert.Equal(typeof(Figure).Assembly.GetTypes().Count(t => t.BaseType == typeof(Figure)),
            read[0].Figures.Select(f => f.GetType()).Distinct().Count());
        var (wrote, got) = ((LinesFigure)chapters[0].Figures[0], (LinesFigure)read[0].Figures[0]);
        Assert.Equal(wrote.Series[0].Y.Select(BitConverter.SingleToUInt32Bits),
            got.Series[0].Y.Select(BitConverter.SingleToUInt32Bits));
    }

    [Fact]
    public void AFileWithoutNewerFieldsUsesTheirDefaults()
    {
        using var folder = new TemporaryFolder();
        AtomicFile.WriteText(folder["figures/old.json"], """
            {"id":"old","title":"Old","order":1,"figures":[{"kind":"lines","id":"a","title":"A",
            "x":{"name":"x"},"y":{"name":"y"},"series":[{"name":"s","x":"AACAPw==","y":"AACAPw=="}]},
            {"kind":"scatter","id":"b","title":"B","columns":[{"name":"c","values":"AACAPw=="}],"x":"c","y":"c"}]}
            """);
        var chapter = Assert.Single(Chapter.Load(folder["."]));
        Assert.Empty(((LinesFigure)chapter.Figures[0]).Series[0].Labels);
        Assert.Equal("", chapter.Figures[0].Finding);
        Assert.Empty(((ScatterFigure)chapter.Figures[1]).Latents!);
        Assert.Contains("\"old\"", ReportPage.Html("old", [chapter]));
    }

    [Theory]
    [InlineData("""{"id":"x","title":"X","order":1,"figures":[{"kind":"pie","id":"a","title":"A"}]}""")]
    [InlineData("""{"id":"x","title":"X","order":1,"figures":[{"kind":"heat","id":"a","title":"A","rows":[],"""
        + """ "columns":[],"values":"AAA="}]}""")]
    [InlineData("""{"id":"x","title":"X","order":1,"figures":[{"kind":"heat","id":"a","title":"A","rows":[],"""
        + """ "columns":[],"values":"?"}]}""")]
    [InlineData("""{"id":"x","title":null,"order":1,"figures":[]}""")]
    [InlineData("""{"id":"x","title":"X","ord""")]
    [InlineData("null")]
    public void ADamagedChapterIsRefusedInOneLine(string json)
    {
        using var folder = new TemporaryFolder();
        AtomicFile.WriteText(folder["figures/x.json"], json);
        AssertOneLine("x.json is", () => Chapter.Load(folder["."]));
    }

    [Fact]
    public void MismatchedColumnsAreRefusedInOneLine()
    {
        Figure[] figures =
        [
            new LinesFigure("f", "", new("x"), new("y"), [new("a", [1, 2], [1])]),
                new HistogramFigure("f", "", new("x"), new("y"), [0, 1], [new("a", [1, 2])]),
            new ScatterFigure("f", "", [new("a", [1]), new("b", [])], "a", "b"),
                new ScatterFigure("f", "", [new("a", [1]), new("b", [1])], "a", "b") { Latents = [1, 2] },
            new HeatFigure("f", "", ["r"], ["c"], []),
                new TableFigure("f", "", [new("a", ["x"]), new("b", Numbers: [])]),
                new ImagesFigure("f", "", 2, 2, [1, 2, 3], ["a"]),
        ];
        foreach (var figure in figures) AssertOneLine("figure f is damaged", () => FigureColumns.Of(figure));
    }

    [Fact]
    public void CsvAndJsonHoldTheFiguresNumbersToTheBit()
    {
        using var folder = new TemporaryFolder();
        var chapters = ReportFigures.All();
        foreach (var chapter in chapters) chapter.Save(folder["run"]);
        var (code, _, error) = Run("report", folder["run"], "--csv", folder["csv"], "--json", folder["all.json"]);
        Assert.True(code == 0, error);
        Assert.True(File.Exists(folder["run/report.html"]));
        var json = JsonNode.Parse(File.ReadAllText(folder["all.json"]))!.AsArray();
        for (var s = 0; s < chapters.Length; s++)
            for (var f = 0; f < chapters[s].Figures.Length; f++)
            {
                var csv = ReportFigures.ReadCsv(
                    File.ReadAllText(folder[$"csv/{chapters[s].Id}-{chapters[s].Figures[f].Id}.csv"]));
                AssertEqual(FigureColumns.Of(chapters[s].Figures[f]), csv);
                AssertEqual(FigureColumns.Of(chapters[s].Figures[f]), json[s]!["figures"]![f]!["columns"]!.AsArray());
            }
        var lines = ReportFigures.ReadCsv(File.ReadAllText(folder["csv/good-lines.csv"]));
        Assert.Equal(["series", "step", "loss", "label"], lines[0]);
        Assert.Equal(["a", "3", "1E-20", ""], lines[3]);
        Assert.Equal(["c", "2", "0.3", "k = 32"], lines[^1]);
        Assert.Equal(["1", "b, \"c\"", ""], ReportFigures.ReadCsv(File.ReadAllText(folder["csv/good-table.csv"]))[2]);
    }

    static void AssertEqual(IReadOnlyList<FigureColumn> columns, List<string[]> csv)
    {
        if (columns.Count == 0) return;
        Assert.Equal(columns.Select(c => c.Name), csv[0]);
        Assert.Equal(columns[0].Length, csv.Count - 1);
        for (var c = 0; c < columns.Count; c++)
            for (var i = 0; i < columns[c].Length; i++)
            {
                var cell = csv[i + 1][c];
                if (columns[c].Text is { } text) Assert.Equal(text(i), cell);
                else if (cell == "") Assert.True(double.IsNaN(columns[c].Number!(i)));
                else Assert.Equal(columns[c].Number!(i), columns[c].Single ? float.Parse(cell) : double.Parse(cell));
            }
    }

    static void AssertEqual(IReadOnlyList<FigureColumn> columns, JsonArray json)
    {
        Assert.Equal(columns.Select(c => c.Name), json.Select(c => (string?)c!["name"]));
        for (var c = 0; c < columns.Count; c++)
        {
            var values = json[c]!["values"]!.AsArray();
            Assert.Equal(columns[c].Length, values.Count);
            for (var i = 0; i < values.Count; i++)
                if (columns[c].Text is { } text) Assert.Equal(text(i), (string?)values[i]);
                else if (values[i] is null) Assert.False(double.IsFinite(columns[c].Number!(i)));
                else Assert.Equal(columns[c].Number!(i), columns[c].Single ? (float)values[i]! : (double)values[i]!);
        }
    }

    [Fact]
    public void ThePageNamesNoOtherPlaceAndRunsNoOtherScript()
    {
        var html = ReportPage.Html("run", [ReportFigures.All()[0]]);
        Assert.DoesNotContain("http", html.Replace("http-equiv", "").ToLowerInvariant());
        Assert.DoesNotMatch("\\ssrc=|@import|url\\(|<iframe|<object|<base", html);
        Assert.Equal(["<link rel=\"icon\" href=\"data:,\">"], Regex.Matches(html, "<link[^>]*>").Select(m => m.Value));
        var policy = Regex.Match(html, "Content-Security-Policy\" content=\"([^\"]*)\"").Groups[1].Value;
        var script = html[(html.LastIndexOf("<script>", StringComparison.Ordinal)
            + 8)..html.LastIndexOf("</script>", StringComparison.Ordinal)];
        Assert.Contains("script-src "
            + $"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(script)))}';",
            policy);
        Assert.StartsWith("default-src 'none';", policy);
        Assert.Contains("connect-src 'none'", policy);
        Assert.DoesNotContain("unsafe-eval", policy);
        Assert.Contains("connect-src 'self'", ReportPage.Html("run", [], live: true));
    }

    [Fact]
    public void TextsInDataAreEscaped()
    {
        var html = ReportPage.Html(ReportFigures.Hostile, ReportFigures.All(),
            new Dictionary<string, byte[]> { ["probe"] = [1, 2, 3] });
        Assert.Equal(3, Regex.Count(html, "<script"));      // scripts of the chapters, the blob, and the page
        Assert.Equal(3, Regex.Count(html, "</script"));
        Assert.DoesNotContain("<img", html);
        AssertOneLine("is not the name of a blob",
            () => ReportPage.Html("", [], new Dictionary<string, byte[]> { ["a\"><b>"] = [] }));
    }

    /// <summary>Runs in the page: uses the controls as a reader does, and records the results.</summary>
    const string Probe = """
        Report.panel("probe", async element => {
            element.textContent = [...new Uint8Array(await Report.blob("probe"))].join(",");
        }, {title: "Probe", order: 150});
        const opened = [];
        Report.openLatent = latent => opened.push(latent);
        const text = (id, inner) => document.querySelector(`#${id} ${inner}`)?.textContent;
        const probe = async () => {
            if (!document.documentElement.dataset.drawn || !text("panel-probe", ".panel")) return setTimeout(probe, 5);
            const csv = Report.chapters.map(chapter => chapter.figures.map(Report.csv));
            document.getElementById("theme").click();
            document.querySelector("#good-lines .legend button").click();
            const plot = document.querySelector("#good-histogram svg"), box = plot.getBoundingClientRect();
            plot.dispatchEvent(new PointerEvent("pointermove",
                {clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true}));
            const said = document.getElementById("tip").textContent;
            document.querySelectorAll("#good-table th button")[0].click();
            document.querySelectorAll("#good-table th button")[0].click();
            document.querySelector("#good-table td button").click();
            document.querySelector("#good-scatter .body").solid.turn(1, 0.2);
            const nothing = [...document.querySelectorAll("#bad .nothing")].length;
            const newer = JSON.parse(document.getElementById("chapters").textContent);
            newer[0].figures[0].finding = "It fell further.";
            const other = document.getElementById("good-histogram");
            Report.refresh(newer);
            const found = {csv, said, opened, nothing, blob: text("panel-probe", ".panel"),
                finding: text("good-lines", ".finding"), kept: other.isConnected,
                theme: document.documentElement.dataset.theme};
            const bytes = new TextEncoder().encode(JSON.stringify(found));
            document.documentElement.dataset.found = btoa(Array.from(bytes, b => String.fromCharCode(b)).join(""));
        };
        probe();
        """;

    [Theory, InlineData(1280), InlineData(500)]
    public void PageDrawsEveryFigureInABrowser(int width)
    {
        Assert.SkipUnless(Browser.IsHere, Browser.Missing);
        using var folder = new TemporaryFolder();
        var chapters = ReportFigures.All();
        byte[] blob = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];
        var html = ReportPage.Html(ReportFigures.Hostile, chapters,
            new Dictionary<string, byte[]> { ["probe"] = blob });
        File.WriteAllText(folder["page.html"], html);
        var dom = Browser.Dom(folder["page.html"], width);      // the page with its own policy
        Assert.Null(Browser.Said(dom, "errors"));
        Assert.Equal($"{chapters.Sum(s => s.Figures.Length)}", Browser.Said(dom, "figures"));
        Assert.Equal(3, Regex.Count(dom, "<script"));
        Assert.DoesNotContain("<img", dom);
        if (width != 1280) return;

        html = Regex.Replace(html, "<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "");
        File.WriteAllText(folder["probe.html"],
            html[..html.LastIndexOf("</script>", StringComparison.Ordinal)] + Probe + "</script></body></html>");
        dom = Browser.Dom(folder["probe.html"]);
        Assert.Null(Browser.Said(dom, "errors"));
        var found = JsonNode.Parse(Convert.FromBase64String(Browser.Said(dom, "found")!))!;
        Assert.Equal(string.Join(',', blob), (string?)found["blob"]);
        Assert.Equal("It fell further.", (string?)found["finding"]);
        Assert.True((bool)found["kept"]!);      // unchanged figures were not drawn again
        Assert.Equal("dark", (string?)found["theme"]);
        // sorted in descending order, then ascending
        Assert.Equal([1], found["opened"]!.AsArray().Select(n => (int)n!));
        Assert.Contains("10 to 100all 7some 3", (string?)found["said"]);
        Assert.Equal(7, (int)found["nothing"]!);        // all figures except the table
        for (var s = 0; s < chapters.Length; s++)
            for (var f = 0; f < chapters[s].Figures.Length; f++)
                AssertEqual(FigureColumns.Of(chapters[s].Figures[f]),
                    ReportFigures.ReadCsv((string)found["csv"]![s]![f]!));
    }

    [Fact]
    public void LargeChaptersAreCompressedAndDrawn()
    {
        Assert.SkipUnless(Browser.IsHere, Browser.Missing);
        using var folder = new TemporaryFolder();
        var random = new Random(1);
        float[] Column() => [.. Enumerable.Range(0, 65_536).Select(_ => random.NextSingle())];
        Chapter chapter = new("latents", "Latents", 100,
            [new ScatterFigure("all", "65,536 latents", [new("a", Column()), new("b", Column()), new("c", Column())],
                "a", "b") { Z = "c", Colour = "c" }]);
        ReportPage.Write(folder["page.html"], "large", [chapter]);
        Assert.Contains("<script type=\"text/plain\" id=\"chapters\">", File.ReadAllText(folder["page.html"]));
        // base64 twice, and the page
        Assert.InRange(new FileInfo(folder["page.html"]).Length, 1, 65_536 * 3 * 4 * 16 / 9 + 100_000);
        var dom = Browser.Dom(folder["page.html"]);
        Assert.Null(Browser.Said(dom, "errors"));
        Assert.Equal("1", Browser.Said(dom, "figures"));
        Assert.Contains("class=\"points\"", dom);
    }
}
