using System.Globalization;
using System.Text;

namespace CudaSae.Bench.Plots;

/// <summary>Points in a plane, joined or not.</summary>
/// <param name="Color">As SVG names it.</param>
/// <param name="Dashed">A line without marks: what was predicted.</param>
/// <param name="Joined">Whether a line runs through the points.</param>
sealed record ChartSeries(string Name, string Color, IReadOnlyList<ChartPoint> Points, bool Dashed = false,
    bool Joined = true);

/// <param name="Low">Lower end of a bar through the point; NaN for none.</param>
/// <param name="Text">Beside the point; empty for none.</param>
/// <param name="Side">Where that stands: 0 above, -1 to the left, 1 to the right.</param>
sealed record ChartPoint(double X, double Y, double Low = double.NaN, double High = double.NaN, string Text = "",
    int Side = 0);

/// <summary>A chart with two logarithmic axes as SVG, on white, large enough in its letters to be shrunk to a
/// third.</summary>
/// <param name="XTicks">Where the x axis is marked; empty for 1, 2 and 5 of each decade.</param>
sealed record SvgChart(string Title, string Subtitle, string XTitle, string YTitle, IReadOnlyList<ChartSeries> Series,
    IReadOnlyList<double> XTicks)
{
    const int Width = 900, Height = 600, Left = 100, Right = 40, Top = 145, Bottom = 85;
    const string Ink = "#1d2433", Faint = "#d8dde6", Soft = "#5a6478";

    (double Low, double High) xRange, yRange;

    public string Draw()
    {
        var points = Series.SelectMany(s => s.Points).ToArray();
        if (points.Length == 0) throw new SaeException($"there is nothing to draw of \"{Title}\": no row has a time");
        xRange = Around(points.Select(p => p.X), 1.25);
        yRange = Around(points.SelectMany(p => double.IsNaN(p.Low) ? new[] { p.Y } : [p.Y, p.Low, p.High]), 1.35);
        var svg = new StringBuilder();
        svg.AppendLine(Invariant($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" ")
            + Invariant($"width=\"{Width}\" height=\"{Height}\" font-family=\"Helvetica, Arial, 'Liberation Sans', ")
            + "sans-serif\" "
            + Invariant($"fill=\"{Ink}\">"));
        svg.AppendLine(Invariant($"<rect width=\"{Width}\" height=\"{Height}\" fill=\"#ffffff\"/>"));
        Text(svg, Left, 38, Title, 25, "start", Ink, "font-weight=\"600\"");
        Text(svg, Left, 65, Subtitle, 16, "start", Soft);
        Legend(svg);
        Axes(svg);
        foreach (var series in Series) Draw(svg, series);
        return svg.AppendLine("</svg>").ToString().ReplaceLineEndings("\n");
    }

    static (double, double) Around(IEnumerable<double> values, double room)
    {
        var positive = values.Where(v => v > 0 && double.IsFinite(v)).ToArray();
        return (positive.Min() / room, positive.Max() * room);
    }

    double X(double x) => Left + (Width - Left - Right) * Math.Log(x / xRange.Low) / Math.Log(xRange.High / xRange.Low);
    double Y(double y) =>
        Height - Bottom - (Height - Top - Bottom) * Math.Log(y / yRange.Low) / Math.Log(yRange.High / yRange.Low);

    void Legend(StringBuilder svg)
    {
        double x = Left, y = 90;
        foreach (var series in Series)
        {
            var length = 66 + 9.2 * series.Name.Length;
            if (x > Left && x + length - 24 > Width) (x, y) = (Left, y + 26);
            svg.AppendLine(Invariant($"<line x1=\"{x:0}\" y1=\"{y:0}\" x2=\"{x + 34:0}\" y2=\"{y:0}\" ")
                + Invariant($"stroke=\"{series.Color}\" ")
                + Invariant($"stroke-width=\"{(series.Joined ? 3.5 : 0)}\"{(series.Dashed ? " stroke-dasharray=\"8 6\"" : "")}/>"));
            if (!series.Dashed)
                svg.AppendLine(Invariant($"<circle cx=\"{x + 17:0}\" cy=\"{y:0}\" r=\"6\" fill=\"{series.Color}\"/>"));
            Text(svg, x + 42, y + 6, series.Name, 17, "start", Ink);
            x += length;
        }
    }

    void Axes(StringBuilder svg)
    {
        double bottom = Height - Bottom, right = Width - Right;
        foreach (var x in XTicks.Count > 0 ? XTicks : Decades(xRange))
        {
            svg.AppendLine(Invariant($"<line x1=\"{X(x):0.0}\" y1=\"{Top}\" x2=\"{X(x):0.0}\" y2=\"{bottom}\" ")
                + Invariant($"stroke=\"{Faint}\"/>"));
            Text(svg, X(x), bottom + 25, Short(x, XTicks.Count > 0), 17, "middle", Ink);
        }
        foreach (var y in Decades(yRange))
        {
            svg.AppendLine(Invariant($"<line x1=\"{Left}\" y1=\"{Y(y):0.0}\" x2=\"{right}\" y2=\"{Y(y):0.0}\" ")
                + Invariant($"stroke=\"{Faint}\"/>"));
            Text(svg, Left - 10, Y(y) + 6, Short(y, false), 17, "end", Ink);
        }
        svg.AppendLine(Invariant($"<path d=\"M {Left} {Top} V {bottom} H {right}\" fill=\"none\" stroke=\"{Ink}\" ")
            + "stroke-width=\"1.5\"/>");
        Text(svg, (Left + right) / 2, Height - 22, XTitle, 19, "middle", Ink);
        Text(svg, 0, 0, YTitle, 19, "middle", Ink,
            Invariant($"transform=\"translate(30 {(Top + bottom) / 2:0}) rotate(-90)\""));
    }

    /// <summary>1, 2 and 5 of each decade, or 1 alone where there are many.</summary>
    static IEnumerable<double> Decades((double Low, double High) range)
    {
        var many = Math.Log10(range.High / range.Low) > 3.5;
        for (var decade = Math.Floor(Math.Log10(range.Low)); decade <= Math.Log10(range.High); decade++)
            foreach (var first in many ? new[] { 1.0 } : [1, 2, 5])
                if (first * Math.Pow(10, decade) is var tick && tick >= range.Low && tick <= range.High)
                    yield return tick;
    }

    static string Short(double x, bool binary) => (binary && x >= 1024 && x % 1024 == 0) switch
    {
        true => x >= 1 << 20 ? Invariant($"{x / (1 << 20):0.#}M") : Invariant($"{x / 1024:0.#}k"),
        false =>
            x >= 1e6 || x < 1e-3 ? x.ToString("0e+0", CultureInfo.InvariantCulture) : x >= 1e4
                ? Invariant($"{x / 1e3:0.#}k") : x.ToString("0.####", CultureInfo.InvariantCulture),
    };

    void Draw(StringBuilder svg, ChartSeries series)
    {
        if (series.Joined)
            svg.AppendLine("<path "
                + Invariant($"d=\"{string.Join(' ', series.Points.Select((p, i) => Invariant($"{(i == 0 ? 'M' : 'L')} {X(p.X):0.0} {Y(p.Y):0.0}")))}\" fill=\"none\" stroke=\"{series.Color}\" stroke-width=\"3\"{(series.Dashed ? " stroke-dasharray=\"8 6\"" : "")}/>"));
        foreach (var p in series.Points)
        {
            if (!double.IsNaN(p.Low))
                svg.AppendLine(Invariant($"<line x1=\"{X(p.X):0.0}\" y1=\"{Y(p.Low):0.0}\" x2=\"{X(p.X):0.0}\" ")
                    + Invariant($"y2=\"{Y(p.High):0.0}\" stroke=\"{series.Color}\" stroke-width=\"2\" ")
                    + "opacity=\"0.55\"/>");
            if (!series.Dashed)
                svg.AppendLine(Invariant($"<circle cx=\"{X(p.X):0.0}\" cy=\"{Y(p.Y):0.0}\" r=\"6\" ")
                    + Invariant($"fill=\"{series.Color}\"/>"));
            if (p.Text.Length > 0)
                Text(svg, X(p.X) + 13 * p.Side, p.Side == 0 ? Y(double.IsNaN(p.High) ? p.Y : p.High) - 13 : Y(p.Y) + 6,
                    p.Text, 16, p.Side switch { 0 => "middle", < 0 => "end", _ => "start" }, series.Color,
                    "font-weight=\"600\" paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"4\"");
        }
    }

    static void Text(StringBuilder svg, double x, double y, string text, int size, string anchor, string color,
        string more = "") =>
        svg.AppendLine(Invariant($"<text x=\"{x:0.0}\" y=\"{y:0.0}\" font-size=\"{size}\" text-anchor=\"{anchor}\" ")
            + Invariant($"fill=\"{color}\" {more}>{System.Security.SecurityElement.Escape(text)}</text>"));

    static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
