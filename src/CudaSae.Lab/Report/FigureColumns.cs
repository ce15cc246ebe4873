using System.Globalization;

namespace CudaSae.Lab.Report;

/// <summary>A column of a figure as other programs read it: texts, or numbers in full precision.</summary>
/// <param name="Length">Number of cells.</param>
sealed record FigureColumn(string Name, int Length, Func<int, string>? Text, Func<int, double>? Number)
{
    public string Unit { get; init; } = "";
    public string Formula { get; init; } = "";

    /// <summary>Whether the numbers come from float32, which needs fewer digits.</summary>
    public bool Single { get; init; }

    /// <summary>A cell in the fewest digits that read back to the same bits. NaN and missing values are
    /// empty.</summary>
    public string Cell(int row)
    {
        if (Text is not null) return Text(row);
        var value = Number!(row);
        if (double.IsNaN(value)) return "";
        return Single ? ((float)value).ToString("R", CultureInfo.InvariantCulture)
            : value.ToString("R", CultureInfo.InvariantCulture);
    }
}

/// <summary>Writes every kind of figure as a table of equally long columns, for --csv, --json and data
/// frames.</summary>
static class FigureColumns
{
    /// <exception cref="SaeException">The arrays of the figure do not fit together.</exception>
    public static IReadOnlyList<FigureColumn> Of(Figure figure)
    {
        if (!Fits(figure))
            throw new SaeException($"figure {figure.Id} is damaged: its columns differ in length; run the command that "
                + "made it again");
        return Columns(figure);
    }

    /// <summary>Whether the lengths of the arrays fit together.</summary>
    internal static bool Fits(Figure figure) => figure switch
    {
        LinesFigure f =>
            f.Series.All(s => s.X.Length == s.Y.Length && (s.Labels.Length == 0 || s.Labels.Length == s.X.Length)),
        HistogramFigure f => f.Series.All(s => s.Counts.Length == Bins(f)),
        ScatterFigure f => ((string?[])[f.X, f.Y, f.Z, f.Colour])
            .All(name => name is null || f.Columns.Any(c => c.Name == name))
            && f.Columns.All(c => c.Values.Length == f.Columns[0].Values.Length)
            && (f.Latents is not { Length: > 0 } l || f.Columns.Length > 0 && l.Length == f.Columns[0].Values.Length),
        HeatFigure f => f.Values.LongLength == (long)f.Rows.Length * f.Columns.Length,
        TableFigure f => f.Columns.Select(c => c.Texts?.Length ?? c.Numbers?.Length ?? 0).Distinct().Count() <= 1,
        ImagesFigure f => f is { Width: > 0, Height: > 0 }
            && (long)f.Width * f.Height <= Math.Max(f.Pixels.Length, EmptyPixels)
            && f.Pixels.LongLength == (long)f.Captions.Length * f.Width * f.Height,
        _ => true,
    };

    const int EmptyPixels = 1 << 16;        // limit for a figure without pictures: each pixel is a column

    static FigureColumn[] Columns(Figure figure) => figure switch
    {
        LinesFigure f => Lines(f),
        HistogramFigure f => [Numbers("from", [.. f.Edges.Take(Bins(f))]) with { Unit = f.X.Unit },
            Numbers("to", [.. f.Edges.Skip(1)]) with { Unit = f.X.Unit },
            .. f.Series.Select(s => Numbers(s.Name, s.Counts) with { Unit = f.Y.Unit })],
        ScatterFigure f => Scatter(f),
        HeatFigure f => [Texts(f.Y.Name == "" ? "row" : f.Y.Name, f.Rows),
            .. f.Columns.Select((name, c) =>
                new FigureColumn(name, f.Rows.Length, null, r => f.Values[r * f.Columns.Length + c])
                {
                    Single = true, Unit = f.Colour.Unit
                })],
        TableFigure f => [.. f.Columns.Select(Table)],
        ImagesFigure f => Images(f),
        _ =>
            throw new SaeException($"figure {figure.Id} is of the kind {figure.GetType().Name}, which has no columns "
                + "yet"),
    };

    static FigureColumn Table(TableColumn column) =>
        column.Texts is { } texts ? Texts(column.Name, texts) with { Formula = column.Formula }
        : new(column.Name, column.Numbers?.Length ?? 0, null, i => column.Numbers![i] ?? double.NaN)
        {
            Formula = column.Formula
        };

    static int Bins(HistogramFigure figure) => Math.Max(0, figure.Edges.Length - 1);

    /// <summary>One row for each point, one series after the other.</summary>
    static FigureColumn[] Lines(LinesFigure figure)
    {
        var points = figure.Series.SelectMany(s => s.X.Zip(s.Y, (x, y) => (s.Name, X: x, Y: y))
            .Select((p, i) => (p.Name, p.X, p.Y, Label: i < s.Labels.Length ? s.Labels[i] : "")))
            .ToArray();
        FigureColumn[] columns =
        [
            Texts("series", [.. points.Select(p => p.Name)]),
            Numbers(figure.X.Name, [.. points.Select(p => p.X)]) with { Unit = figure.X.Unit },
            Numbers(figure.Y.Name, [.. points.Select(p => p.Y)]) with { Unit = figure.Y.Unit },
        ];
        return points.Any(p => p.Label != "") ? [.. columns, Texts("label", [.. points.Select(p => p.Label)])]
            : columns;
    }

    static FigureColumn[] Scatter(ScatterFigure figure)
    {
        var columns = figure.Columns.Select(c => Numbers(c.Name, c.Values) with { Unit = c.Unit, Formula = c.Formula });
        if (figure.Latents is not { } latents || figure.Columns.Length == 0) return [.. columns];
        return [new("latent", figure.Columns[0].Values.Length, null, i => latents.Length > 0 ? latents[i] : i),
            .. columns];
    }

    /// <summary>One row for each picture, with its pixels in row-major order.</summary>
    static FigureColumn[] Images(ImagesFigure figure)
    {
        var size = figure.Width * figure.Height;
        var pixels = Enumerable.Range(0, size)
            .Select(p => new FigureColumn($"pixel {p / figure.Width} {p % figure.Width}",
            figure.Captions.Length, null, i => figure.Pixels[i * size + p]));
        return [Texts("caption", figure.Captions), .. pixels];
    }

    static FigureColumn Texts(string name, string[] texts) => new(name, texts.Length, i => texts[i], null);

    static FigureColumn Numbers(string name, float[] numbers) =>
        new(name, numbers.Length, null, i => numbers[i]) { Single = true };
}
