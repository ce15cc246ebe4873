using System.Text.Json;
using CudaSae.Data;

namespace CudaSae.Report;

/// <summary>A chapter of a report. Commands that find something out about a run leave one in its folder, figures/ID.json; <c>cudasae report</c> shows all that are there.</summary>
/// <param name="Id">kebab-case; also its file's name.</param>
/// <param name="Title">Its heading.</param>
/// <param name="Order">Its place in the page, ascending: 0 training, 100 latents, 200 probes, 300 downstream, 400 sweeps, 500 pictures.</param>
public sealed record Section(string Id, string Title, int Order, Figure[] Figures)
{
    public const string FolderName = "figures";

    /// <summary>The command that made it, so that a reader can do it again.</summary>
    public string Command { get; set; } = "";      // a setter for the same reason as in Figure

    /// <summary>Writes figures/ID.json below a run's folder.</summary>
    public void Save(string folder) => AtomicFile.Write(Path.Combine(folder, FolderName, $"{Id}.json"), stream => JsonSerializer.Serialize(stream, this, ReportJson.Default.Section));

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
        try
        {
            using var stream = File.OpenRead(path);
            var section = JsonSerializer.Deserialize(stream, ReportJson.Default.Section)
                ?? throw new SaeException($"{path} is empty; delete it");
            return section is { Id: not null, Title: not null, Figures: { } all } && !all.Contains(null) ? section
                : throw new SaeException($"{path} is no section of a report: it lacks an id, a title or figures; "
                    + "delete it, or run the command that made it again");
        }
        catch (Exception e) when (e is JsonException or FormatException or NotSupportedException or IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{path} is no section of a report: {e.Message.Split(". ")[0]}; delete it, or run the command that made it again", e);
        }
    }
}
