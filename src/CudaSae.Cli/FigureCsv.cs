using CudaSae.Files;
using CudaSae.Lab.Report;
using CsvHelper;

namespace CudaSae.Cli;

/// <summary>The numbers of figures as CSV in full precision, a file a figure: SECTION-FIGURE.csv.</summary>
static class FigureCsv
{
    public static void Write(string folder, IReadOnlyList<Section> sections)
    {
        foreach (var section in sections)
            foreach (var figure in section.Figures) Write(Path.Combine(folder, FileName(section, figure)), figure);
    }

    /// <summary>Ids that a foreign file brought may name no other folder.</summary>
    static string FileName(Section section, Figure figure) =>
        string.Concat($"{section.Id}-{figure.Id}".Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' ? c
            : '_'))
            + ".csv";

    static void Write(string path, Figure figure)
    {
        var columns = FigureColumns.Of(figure);
        AtomicFile.Write(path, stream =>
        {
            if (columns.Count == 0) return;     // an empty file: a record has a field at least
            using var text = new StreamWriter(stream, leaveOpen: true);
            using var csv = CsvWriter.Create(text);
            foreach (var column in columns) csv.WriteField(column.Name);
            csv.EndRecord();
            for (var i = 0; i < columns[0].Length; i++)
            {
                foreach (var column in columns) csv.WriteField(column.Cell(i));
                csv.EndRecord();
            }
            csv.Flush();
        });
    }
}
