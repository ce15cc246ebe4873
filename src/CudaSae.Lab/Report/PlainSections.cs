using System.Text.Encodings.Web;
using System.Text.Json;
using CudaSae.Files;

namespace CudaSae.Lab.Report;

/// <summary>Sections as plain JSON for other programs: every figure as columns of numbers in full precision, NaN,
/// infinities and what is missing as null.</summary>
static class PlainSections
{
    /// <exception cref="SaeException">The file cannot be written.</exception>
    public static void Write(string path, IReadOnlyList<Section> sections) => AtomicFile.Write(path, stream =>
    {
        using var json = new Utf8JsonWriter(stream, new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartArray();
        foreach (var section in sections)
        {
            json.WriteStartObject();
            Texts(json, ("id", section.Id), ("title", section.Title), ("command", section.Command));
            json.WriteStartArray("figures");
            foreach (var figure in section.Figures) Write(json, figure);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    });

    static void Write(Utf8JsonWriter json, Figure figure)
    {
        json.WriteStartObject();
        Texts(json, ("id", figure.Id), ("title", figure.Title), ("finding", figure.Finding),
            ("formula", figure.Formula));
        json.WriteStartArray("columns");
        foreach (var column in FigureColumns.Of(figure))
        {
            json.WriteStartObject();
            Texts(json, ("name", column.Name), ("unit", column.Unit), ("formula", column.Formula));
            json.WriteStartArray("values");
            for (var i = 0; i < column.Length; i++) WriteCell(json, column, i);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    static void WriteCell(Utf8JsonWriter json, FigureColumn column, int row)
    {
        if (column.Text is not null) json.WriteStringValue(column.Text(row));
        else if (!double.IsFinite(column.Number!(row))) json.WriteNullValue();
        else if (column.Single) json.WriteNumberValue((float)column.Number(row));
        else json.WriteNumberValue(column.Number(row));
    }

    static void Texts(Utf8JsonWriter json, params ReadOnlySpan<(string Name, string Text)> texts)
    {
        foreach (var (name, text) in texts) if (text != "" || name is "id" or "name") json.WriteString(name, text);
    }
}
