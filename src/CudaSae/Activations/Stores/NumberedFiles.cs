using System.Globalization;
using System.Text.RegularExpressions;

namespace CudaSae.Activations.Stores;

/// <summary>Chunks whose names are numbers, in the order of these: chunk-00000000.safetensors and
/// shard-0-chunk-00000000.safetensors of OpenMOSS, 0.pt of HoagyC.</summary>
static partial class NumberedFiles
{
    /// <summary>The chunks among a folder's files, or none.</summary>
    /// <exception cref="SaeException">A number is missing or there twice.</exception>
    public static string[] In(string folder, IEnumerable<string> files)
    {
        var chunks = files.Select(path => (Path: path, Name: Pattern().Match(Path.GetFileName(path))))
            .Where(f => f.Name.Success)
            .Select(f =>
                (f.Path, Shard: Number(f.Name.Groups["shard"].Value), Chunk: Number(f.Name.Groups["chunk"].Value)))
            .OrderBy(f => f.Shard).ThenBy(f => f.Chunk).ToArray();
        for (var i = 0; i < chunks.Length; i++)
        {
            var expected = i > 0 && chunks[i].Shard == chunks[i - 1].Shard ? chunks[i - 1].Chunk + 1 : 0;
            if (chunks[i].Chunk == expected) continue;
            var before = i > 0 ? $"after {Path.GetFileName(chunks[i - 1].Path)}" : "first";
            throw new SaeException($"folder {folder}: chunk {expected} should come {before}, but "
                + $"{Path.GetFileName(chunks[i].Path)} does; mend the folder, or name its files to read just these");
        }
        return [.. chunks.Select(c => c.Path)];
    }

    static long Number(string digits) => digits.Length == 0 ? 0 : long.Parse(digits, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^((shard-(?<shard>\d{1,9})-)?chunk-)?(?<chunk>\d{1,9})\.(safetensors|pt)$",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();
}
