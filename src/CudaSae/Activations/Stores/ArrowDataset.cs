using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using CudaSae.Text;

namespace CudaSae.Activations.Stores;

/// <summary>Which .arrow files a HuggingFace dataset's folder has, in which order: state.json says it, or names
/// data-00000-of-00002.arrow do.</summary>
static partial class ArrowDataset
{
    const string StateName = "state.json", InfoName = "dataset_info.json";
    const int BytesAPart = 200;     // of JSON, in memory, with the paths made of it

    /// <summary>Files that describe a dataset, beside its .arrow files.</summary>
    public static readonly string[] Descriptions = [StateName, InfoName];

    /// <param name="files">All of the folder, in the order of their names.</param>
    /// <exception cref="SaeException">One is missing.</exception>
    public static string[] Files(string folder, string[] files)
    {
        string[] arrows = [.. files.Where(f => FileFormat.Of(f) == FileFormat.Arrow)];
        var described = File.Exists(Path.Combine(folder, StateName));
        if (described && (arrows.Length > 0 || File.Exists(Path.Combine(folder, InfoName)))) return FromState(folder);
        foreach (var series in arrows.Select(f => Pattern().Match(Path.GetFileName(f))).Where(m => m.Success)
            .GroupBy(m => (m.Groups["name"].Value, Of: m.Groups["of"].Value)))
            if (series.Count() != int.Parse(series.Key.Of, CultureInfo.InvariantCulture))
                throw new SaeException($"folder {folder} holds {series.Count()} of {series.Key.Of} files "
                    + $"{series.First().Value}; mend it, or name its files to read just these");
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
