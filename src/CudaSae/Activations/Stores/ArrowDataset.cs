using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using CudaSae.Text;

namespace CudaSae.Activations.Stores;

/// <summary>Lists the .arrow files of a HuggingFace dataset's folder in their order, from state.json or from names such
/// as data-00000-of-00002.arrow.</summary>
static partial class ArrowDataset
{
    const string StateName = "state.json", InfoName = "dataset_info.json";
    const int BytesAPart = 200;     // in memory, for one part of the JSON and the paths made from it

    /// <summary>Names of the files beside the .arrow files that describe a dataset.</summary>
    public static readonly string[] Descriptions = [StateName, InfoName];

    /// <summary>Returns the dataset's .arrow files; empty if there are none.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="files">All files of the folder, in the order of their names.</param>
    /// <exception cref="SaeException">A file of the dataset is missing.</exception>
    public static string[] Files(string folder, string[] files)
    {
        string[] arrows = [.. files.Where(f => FileFormat.Of(f) == FileFormat.Arrow)];
        var described = File.Exists(Path.Combine(folder, StateName));
        if (described && (arrows.Length > 0 || File.Exists(Path.Combine(folder, InfoName)))) return FromState(folder);
        foreach (var series in arrows.Select(f => Pattern().Match(Path.GetFileName(f))).Where(m => m.Success)
            .GroupBy(m => (m.Groups["name"].Value, Of: m.Groups["of"].Value)))
            if (series.Count() != int.Parse(series.Key.Of, CultureInfo.InvariantCulture))
                throw new SaeException($"folder {folder} holds {series.Count()} of {series.Key.Of} files "
                    + $"{series.First().Value}; restore the missing files, or name the files to read only these");
        return arrows;
    }

    static string[] FromState(string folder)
    {
        var path = Path.Combine(folder, StateName);
        try
        {
            var json = File.ReadAllBytes(path);
            JsonBudget.Check(json, BytesAPart, json.Length,
                why => new($"{path} does not name the files of a dataset: {why}"));
            using var state = JsonDocument.Parse(json);
            return [.. state.RootElement.GetProperty("_data_files").EnumerateArray().Select(file =>
            {
                var name = file.GetProperty("filename").GetString() ?? "";
                var full = Path.Combine(folder, name);
                if (Path.GetFileName(name) != name || !File.Exists(full))
                    throw new SaeException($"{path} names {name}, which is not beside it");
                return full;
            })];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new SaeException($"{path} does not name the files of a dataset: {e.Message.Split('.')[0]}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e);
        }
    }

    [GeneratedRegex(@"^(?<name>.*)-\d{1,9}-of-(?<of>\d{1,9})\.arrow$",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();
}
