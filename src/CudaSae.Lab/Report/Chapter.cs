using System.Text.Json;
using CudaSae.Files;
using CudaSae.Text;

namespace CudaSae.Lab.Report;

/// <summary>A chapter of a report. Commands that find something out about a run leave one in its folder,
/// figures/ID.json; <c>cudasae report</c> shows all that are there.</summary>
/// <param name="Id">kebab-case; also its file's name.</param>
/// <param name="Title">Its heading.</param>
/// <param name="Order">Its place in the page, ascending: 0 training, 100 latents, 200 probes, 300 downstream, 400
/// sweeps, 500 pictures.</param>
sealed record Chapter(string Id, string Title, int Order, Figure[] Figures)
{
    public const string FolderName = "figures";

    /// <summary>The command that made it, so that a reader can do it again.</summary>
    public string Command { get; set; } = "";      // a setter for the same reason as in Figure

    /// <summary>Writes figures/ID.json below a run's folder.</summary>
    public void Save(string folder) =>
        AtomicFile.Write(Path.Combine(folder, FolderName, $"{Id}.json"),
            stream => JsonSerializer.Serialize(stream, this, ReportJson.Default.Chapter));

    /// <summary>All chapters that a folder holds, in order.</summary>
    /// <exception cref="SaeException">One of them cannot be read.</exception>
    public static IReadOnlyList<Chapter> Load(string folder) =>
        [.. Files(folder).Select(f => Read(f.Path)).OrderBy(s => s.Order).ThenBy(s => s.Id, StringComparer.Ordinal)];

    /// <summary>The files of chapters that a folder holds, with the ids that their names give, in order of
    /// these.</summary>
    public static IReadOnlyList<(string Id, string Path)> Files(string folder)
    {
        var figures = Path.Combine(folder, FolderName);
        if (!Directory.Exists(figures)) return [];
        return [.. Directory.EnumerateFiles(figures, "*.json")
            .Select(path => (Id: Path.GetFileNameWithoutExtension(path), path))
            .OrderBy(file => file.Id, StringComparer.Ordinal)];
    }

    /// <summary>One chapter's file.</summary>
    /// <exception cref="SaeException">It cannot be read, or is no chapter.</exception>
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
            new($"{path} is no chapter of a report: {why}; delete it, or run the command that made it again", e);
        var chapter = JsonRecord.Read(json, ReportJson.Default.Chapter, Bad);
        if (chapter is not { Id: not null, Title: not null, Figures: { } all } || all.Contains(null))
            throw Bad("it lacks an id, a title or figures", null);
        foreach (var figure in chapter.Figures)
            if (!FigureColumns.Fits(figure)) throw Bad($"the columns of figure {figure.Id} differ in length", null);
        return chapter;
    }
}
