using System.Text.Json.Serialization;

namespace CudaSae.Lab.Report;

/// <summary>A figure of a report, as data: the page draws it, and --csv and --json write the same numbers. Each kind of
/// figure has one record here and one drawing function in the page.</summary>
/// <param name="Id">Unique within its chapter, in kebab-case. It is part of a file's name and an anchor.</param>
/// <param name="Title">The heading, one line.</param>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(LinesFigure), "lines")]
[JsonDerivedType(typeof(HistogramFigure), "histogram")]
[JsonDerivedType(typeof(ScatterFigure), "scatter")]
[JsonDerivedType(typeof(HeatFigure), "heat")]
[JsonDerivedType(typeof(TableFigure), "table")]
[JsonDerivedType(typeof(ImagesFigure), "images")]
abstract record Figure(string Id, string Title)
{
    // These are setters, because generated JSON code gives an init-only property that a file lacks the default of its
    // type, not its initializer.

    /// <summary>What the figure shows, in one sentence with its numbers. It is made from the data, never written in
    /// advance.</summary>
    public string Finding { get; set; } = "";

    /// <summary>What is drawn and how it is computed: the symbols of docs/internals/math.md, units, and the source of
    /// the definition.</summary>
    public string Formula { get; set; } = "";
}

/// <summary>An axis. On a logarithmic one, values that are not positive are left out and counted.</summary>
sealed record Axis(string Name, string Unit = "", bool Log = false);

/// <summary>Curves, or points where <see cref="Series.Points"/> is set.</summary>
sealed record LinesFigure(string Id, string Title, Axis X, Axis Y, Series[] Series) : Figure(Id, Title);

/// <summary>One curve: y over x, of equal length; NaN is a gap.</summary>
sealed record Series(string Name, [property: JsonConverter(typeof(PackedFloats))] float[] X,
    [property: JsonConverter(typeof(PackedFloats))] float[] Y)
{
    /// <summary>Whether the points are drawn without a line between them.</summary>
    public bool Points { get; init; }

    /// <summary>Whether the series is a yardstick, which is drawn dashed and pale.</summary>
    public bool Yardstick { get; init; }

    /// <summary>One text for each point, shown when the pointer is near it; empty for none.</summary>
    public string[] Labels { get; set; } = [];
}

/// <summary>Counts between edges: bin i is [Edges[i], Edges[i + 1]).</summary>
sealed record HistogramFigure(string Id, string Title, Axis X, Axis Y,
    [property: JsonConverter(typeof(PackedFloats))] float[] Edges, Bins[] Series)
    : Figure(Id, Title);

/// <summary>The counts of one histogram, one fewer than the edges.</summary>
sealed record Bins(string Name, [property: JsonConverter(typeof(PackedFloats))] float[] Counts);

/// <summary>One point for each item, which usually is a latent. The columns are its coordinates. With <see cref="Z"/>
/// the page draws a rotatable view beside the plane of two columns.</summary>
/// <param name="Columns">Columns of equal length.</param>
/// <param name="X">Name of the column along x.</param>
sealed record ScatterFigure(string Id, string Title, Column[] Columns, string X, string Y) : Figure(Id, Title)
{
    public string? Z { get; init; }

    /// <summary>Name of the column that colours the points.</summary>
    public string? Colour { get; init; }

    /// <summary>The latent of each point, which a click opens. Empty when point i is latent i; null when the points are
    /// not latents.</summary>
    public int[]? Latents { get; set; } = [];
}

/// <summary>A named column of numbers, and how to show it.</summary>
sealed record Column(string Name, [property: JsonConverter(typeof(PackedFloats))] float[] Values)
{
    public string Unit { get; set; } = "";
    public bool Log { get; init; }
    public string Formula { get; set; } = "";
}

/// <summary>A matrix as coloured cells; a cell of NaN stays empty.</summary>
/// <param name="Values">[rows, columns] row-major.</param>
sealed record HeatFigure(string Id, string Title, string[] Rows, string[] Columns,
    [property: JsonConverter(typeof(PackedFloats))] float[] Values)
    : Figure(Id, Title)
{
    public Axis X { get; set; } = new("");
    public Axis Y { get; set; } = new("");

    /// <summary>What the colour means. Its scale runs from <see cref="From"/> to <see cref="To"/>, which default to the
    /// smallest and the largest value.</summary>
    public Axis Colour { get; set; } = new("");
    public float? From { get; init; }
    public float? To { get; init; }
}

/// <summary>A table of texts and numbers. Each column has a formula.</summary>
sealed record TableFigure(string Id, string Title, TableColumn[] Columns) : Figure(Id, Title);

/// <summary>A column of a table: either texts or numbers, the other null.</summary>
sealed record TableColumn(string Name, string[]? Texts = null, double?[]? Numbers = null)
{
    /// <summary>Digits after the point; negative for as many as are needed.</summary>
    public int Digits { get; set; } = -1;
    public string Formula { get; set; } = "";
}

/// <summary>Grey pictures of one size, such as the atoms of a dictionary. Zero is 128 where <see cref="Signed"/> is
/// set, and 0 otherwise.</summary>
/// <param name="Pixels">[images, height, width] row-major.</param>
sealed record ImagesFigure(string Id, string Title, int Width, int Height, byte[] Pixels, string[] Captions)
    : Figure(Id, Title)
{
    public bool Signed { get; init; }
}
