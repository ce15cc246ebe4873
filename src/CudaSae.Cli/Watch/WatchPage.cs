using System.Net;
using System.Text;
using System.Text.Json;
using CudaSae.Metrics;
using CudaSae.Report;

namespace CudaSae.Cli.Watch;

/// <summary>The numbers of a run in progress: the latest of each as a table, and FVU over the steps.</summary>
static class WatchPage
{
    const string Script = """
        const Report = { refresh(sections) {
          const columns = sections[0].figures.find(figure => figure.id === "latest").columns;
          const cell = text => Object.assign(document.createElement("td"), { textContent: text });
          const row = (_, i) => { const r = document.createElement("tr"); r.append(...columns.map(c => cell((c.texts ?? c.numbers)[i]))); return r; };
          document.querySelector("table").replaceChildren(...columns[0].texts.map(row));
        } };

        """;

    public static byte[] Html(string title)
    {
        using var live = new StreamReader(typeof(Section).Assembly.GetManifestResourceStream("page/live.js")!);
        var name = WebUtility.HtmlEncode(title);
        return Encoding.UTF8.GetBytes($"<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{name}</title>\n<body data-live=\"1\">\n<h1>{name}</h1>\n<table></table>\n<script>\n{Script}{live.ReadToEnd()}</script>\n</body>\n</html>\n");
    }

    /// <summary>Of metrics.jsonl as it is now; its last line may be in the making.</summary>
    public static Section[] Sections(string folder)
    {
        using var stream = new FileStream(Path.Combine(folder, MetricsLog.FileName), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var text = new StreamReader(stream);
        var steps = new List<StepMetrics>();
        foreach (var line in text.ReadToEnd().Split('\n')[..^1])
            if (JsonSerializer.Deserialize(line, SaeJson.Default.StepMetrics) is { } step) steps.Add(step);
        if (steps.Count == 0) return [];
        var fvu = new LinesFigure("fvu", "Fraction of variance unexplained", new("step"), new("FVU", Log: true), [new("training batches", [.. steps.Select(m => (float)m.Step)], [.. steps.Select(m => (float)m.Fvu)])]);
        var latest = new TableFigure("latest", "The last logged step", [new("number", Texts: [.. MetricField.All.Select(field => field.Name)]), new("value", Numbers: [.. MetricField.All.Select(field => field.Of(steps[^1]))])]);
        return [new("training", "Training", 0, [fvu, latest])];
    }
}
