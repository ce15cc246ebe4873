using System.Text.Json.Serialization;

namespace CudaSae.Lab.Report;

/// <summary>Something to look at, as data: the page draws it, --csv and --json write the same numbers. A kind is one
/// record here, one drawing function of the page.</summary>
/// <param name="Id">Unique within its section, in kebab-case: a file's name and an anchor.</param>
/// <param name="Title">One line above it.</param>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(LinesFigure), "lines")]
[JsonDerivedType(typeof(HistogramFigure), "histogram")]
[JsonDerivedType(typeof(ScatterFigure), "scatter")]
[JsonDerivedType(typeof(HeatFigure), "heat")]
[JsonDerivedType(typeof(TableFigure), "table")]
[JsonDerivedType(typeof(ImagesFigure), "images")]
abstract record Figure(string Id, string Title)
{
    // Setters: generated JSON code gives init-only fields that a file lacks their type's default, not their
    // initializer.

    /// <summary>What is seen in it, one sentence with its numbers; made from the data, never written
    /// beforehand.</summary>
    public string Finding { get; set; } = "";

    /// <summary>What is shown and how it is computed: symbols of docs/internals/math.md, units, the source of the
    /// definition.</summary>
    public string Formula { get; set; } = "";
}

/// <summary>An axis. On a logarithmic one, values that are not positive are left out and counted.</summary>
sealed record Axis(string Name, string Unit = "", bool Log = false);

/// <summary>Curves, or points where <see cref="Series.Points"/> says so.</summary>
sealed record LinesFigure(string Id, string Title, Axis X, Axis Y, Series[] Series) : Figure(Id, Title);

/// <summary>One curve: y over x, of equal length; NaN is a gap.</summary>
sealed record Series(string Name, [property: JsonConverter(typeof(PackedFloats))] float[] X,
    [property: JsonConverter(typeof(PackedFloats))] float[] Y)
{
    /// <summary>Points without a line between them.</summary>
    public bool Points { get; init; }

    /// <summary>A yardstick: drawn dashed and pale.</summary>
    public bool Yardstick { get; init; }

    /// <summary>A text a point, shown when it is pointed at; none, or as many as points.</summary>
    public string[] Labels { get; set; } = [];
}

/// <summary>Counts between edges: bin i is [Edges[i], Edges[i + 1]).</summary>
sealed record HistogramFigure(string Id, string Title, Axis X, Axis Y,
    [property: JsonConverter(typeof(PackedFloats))] float[] Edges, Bins[] Series)
    : Figure(Id, Title);

/// <summary>One histogram's counts, one fewer than edges.</summary>
sealed record Bins(string Name, [property: JsonConverter(typeof(PackedFloats))] float[] Counts);

/// <summary>A point an item (a latent, mostly), in up to as many dimensions as there are columns: rotatable where
/// <see cref="Z"/> is set, beside it the pairs.</summary>
/// <param name="Columns">Of equal length.</param>
/// <param name="X">Name of the column along x.</param>
sealed record ScatterFigure(string Id, string Title, Column[] Columns, string X, string Y) : Figure(Id, Title)
{
    public string? Z { get; init; }

    /// <summary>Name of the column that colours the points.</summary>
    public string? Colour { get; init; }

    /// <summary>The latent of each point, so that pointing at it names its page; empty when point i is latent i; null
    /// when points are no latents.</summary>
    public int[]? Latents { get; set; } = [];
}

/// <summary>A named column of numbers, and how to show it.</summary>
sealed record Column(string Name, [property: JsonConverter(typeof(PackedFloats))] float[] Values)
{
    public string Unit { get; set; } = "";
    public bool Log { get; init; }
    public string Formula { get; set; } = "";
}

/// <summary>A matrix as coloured cells; NaN stays empty.</summary>
/// <param name="Values">[rows, columns] row-major.</param>
sealed record HeatFigure(string Id, string Title, string[] Rows, string[] Columns,
    [property: JsonConverter(typeof(PackedFloats))] float[] Values)
    : Figure(Id, Title)
{
    public Axis X { get; set; } = new("");
    public Axis Y { get; set; } = new("");

    /// <summary>What the colour means; its ends are those of the values unless set.</summary>
    public Axis Colour { get; set; } = new("");
    public float? From { get; init; }
    public float? To { get; init; }
}

/// <summary>A table: texts and numbers, a formula a column.</summary>
sealed record TableFigure(string Id, string Title, TableColumn[] Columns) : Figure(Id, Title);

/// <summary>A column of a table: either texts or numbers, the other null.</summary>
sealed record TableColumn(string Name, string[]? Texts = null, double?[]? Numbers = null)
{
    /// <summary>Digits after the point; negative for as many as are needed.</summary>
    public int Digits { get; set; } = -1;
    public string Formula { get; set; } = "";
}

/// <summary>Grey pictures of one size: dictionary atoms, mostly. 128 is zero where <see cref="Signed"/>, else 0
/// is.</summary>
/// <param name="Pixels">[images, height, width] row-major.</param>
sealed record ImagesFigure(string Id, string Title, int Width, int Height, byte[] Pixels, string[] Captions)
    : Figure(Id, Title)
{
    public bool Signed { get; init; }
}
