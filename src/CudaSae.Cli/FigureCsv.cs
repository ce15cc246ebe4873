using CudaSae.Files;
using CudaSae.Lab.Report;
using CsvHelper;

namespace CudaSae.Cli;

/// <summary>Writes the numbers of figures as CSV in full precision, one file for each figure:
/// CHAPTER-FIGURE.csv.</summary>
static class FigureCsv
{
    public static void Write(string folder, IReadOnlyList<Chapter> chapters)
    {
        foreach (var chapter in chapters)
            foreach (var figure in chapter.Figures) Write(Path.Combine(folder, FileName(chapter, figure)), figure);
    }

    /// <summary>Builds the file name from the ids. Other characters become _, so that an id from a foreign file cannot
    /// name another folder.</summary>
    static string FileName(Chapter chapter, Figure figure) =>
        string.Concat($"{chapter.Id}-{figure.Id}".Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' ? c
            : '_'))
            + ".csv";

    static void Write(string path, Figure figure)
    {
        var columns = FigureColumns.Of(figure);
        AtomicFile.Write(path, stream =>
        {
            if (columns.Count == 0) return;     // the file stays empty: a record has at least one field
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
