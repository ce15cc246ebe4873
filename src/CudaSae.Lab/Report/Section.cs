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
sealed record Section(string Id, string Title, int Order, Figure[] Figures)
{
    public const string FolderName = "figures";

    /// <summary>The command that made it, so that a reader can do it again.</summary>
    public string Command { get; set; } = "";      // a setter for the same reason as in Figure

    /// <summary>Writes figures/ID.json below a run's folder.</summary>
    public void Save(string folder) =>
        AtomicFile.Write(Path.Combine(folder, FolderName, $"{Id}.json"),
            stream => JsonSerializer.Serialize(stream, this, ReportJson.Default.Section));

    /// <summary>All sections that a folder holds, in order.</summary>
    /// <exception cref="SaeException">One of them cannot be read.</exception>
    public static IReadOnlyList<Section> Load(string folder) =>
        [.. Files(folder).Select(f => Read(f.Path)).OrderBy(s => s.Order).ThenBy(s => s.Id, StringComparer.Ordinal)];

    /// <summary>The files of sections that a folder holds, with the ids that their names give, in order of
    /// these.</summary>
    public static IReadOnlyList<(string Id, string Path)> Files(string folder)
    {
        var figures = Path.Combine(folder, FolderName);
        if (!Directory.Exists(figures)) return [];
        return [.. Directory.EnumerateFiles(figures, "*.json")
            .Select(path => (Id: Path.GetFileNameWithoutExtension(path), path))
            .OrderBy(file => file.Id, StringComparer.Ordinal)];
    }

    /// <summary>One section's file.</summary>
    /// <exception cref="SaeException">It cannot be read, or is no section.</exception>
    public static Section Read(string path)
    {
        try { return Parse(path, File.ReadAllBytes(path)); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{path} cannot be read: {e.Message.TrimEnd('.')}", e);
        }
    }

    internal static Section Parse(string path, byte[] json)
    {
        SaeException Bad(string why, Exception? e) =>
            new($"{path} is no section of a report: {why}; delete it, or run the command that made it again", e);
        var section = JsonRecord.Read(json, ReportJson.Default.Section, Bad);
        if (section is not { Id: not null, Title: not null, Figures: { } all } || all.Contains(null))
            throw Bad("it lacks an id, a title or figures", null);
        foreach (var figure in section.Figures)
            if (!FigureColumns.Fits(figure)) throw Bad($"the columns of figure {figure.Id} differ in length", null);
        return section;
    }
}
