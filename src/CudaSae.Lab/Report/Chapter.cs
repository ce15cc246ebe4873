using System.Text.Json;
using CudaSae.Files;
using CudaSae.Text;

namespace CudaSae.Lab.Report;

/// <summary>A chapter of a report. Commands that measure a run save one as figures/ID.json in its folder, and
/// <c>cudasae report</c> shows all of them.</summary>
/// <param name="Id">The name of its file, in kebab-case.</param>
/// <param name="Title">The heading.</param>
/// <param name="Order">The position in the page, ascending: 0 training, 100 latents, 200 probes, 300 downstream, 400
/// sweeps, 500 pictures.</param>
sealed record Chapter(string Id, string Title, int Order, Figure[] Figures)
{
    public const string FolderName = "figures";

    /// <summary>The command that made the chapter, so that a reader can repeat it.</summary>
    public string Command { get; set; } = "";      // a setter for the reason that Figure states

    /// <summary>Writes figures/ID.json below a run's folder.</summary>
    public void Save(string folder) =>
        AtomicFile.Write(Path.Combine(folder, FolderName, $"{Id}.json"),
            stream => JsonSerializer.Serialize(stream, this, ReportJson.Default.Chapter));

    /// <summary>Reads all chapters of a folder, in order.</summary>
    /// <exception cref="SaeException">One of them cannot be read.</exception>
    public static IReadOnlyList<Chapter> Load(string folder) =>
        [.. Files(folder).Select(f => Read(f.Path)).OrderBy(s => s.Order).ThenBy(s => s.Id, StringComparer.Ordinal)];

    /// <summary>The chapter files of a folder with the ids that their names give, in the order of the ids.</summary>
    public static IReadOnlyList<(string Id, string Path)> Files(string folder)
    {
        var figures = Path.Combine(folder, FolderName);
        if (!Directory.Exists(figures)) return [];
        return [.. Directory.EnumerateFiles(figures, "*.json")
            .Select(path => (Id: Path.GetFileNameWithoutExtension(path), path))
            .OrderBy(file => file.Id, StringComparer.Ordinal)];
    }

    /// <summary>Reads the file of one chapter.</summary>
    /// <exception cref="SaeException">The file cannot be read, or is not a chapter.</exception>
    public static Chapter Read(string path)
    {
        try { return Parse(path, File.ReadAllBytes(path)); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{path} cannot be read: {e.Message.TrimEnd('.')}", e);
        }
    }

    internal static Chapter Parse(string path, byte[] json)
    {
        SaeException Bad(string why, Exception? e) =>
            new($"{path} is not a chapter of a report: {why}; delete it, or run the command that made it again", e);
        var chapter = JsonRecord.Read(json, ReportJson.Default.Chapter, Bad);
        if (chapter is not { Id: not null, Title: not null, Figures: { } all } || all.Contains(null))
            throw Bad("it lacks an id, a title or figures", null);
        foreach (var figure in chapter.Figures)
            if (!FigureColumns.Fits(figure)) throw Bad($"the columns of figure {figure.Id} differ in length", null);
        return chapter;
    }
}
