using System.Globalization;
using System.Text.RegularExpressions;

namespace CudaSae.Activations.Stores;

/// <summary>Remarks on the numbers in the names of a folder's files that are missing or not in order. A subset of files
/// may be intended, so neither is refused.</summary>
static partial class NumbersInNames
{
    const int MostMissing = 6;      // in one line

    /// <summary>Returns the remarks on a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="files">Its files in the order in which they are read.</param>
    public static IEnumerable<string> Remarks(string folder, string[] files)
    {
        folder = Path.TrimEndingDirectorySeparator(folder);
        var names = files.Select(file => Pattern().Match(Path.GetFileName(file))).Where(name => name.Success);
        foreach (var series in names.GroupBy(name => (name.Groups["before"].Value, name.Groups["after"].Value)))
        {
            long[] numbers = [.. series.Select(name => Number(name.Groups["number"]))];
            var pattern = $"{series.Key.Item1}N{series.Key.Item2}";
            var (first, last) = (numbers.Min(), numbers.Max());
            if (OfAll(series.First()) is { } count) last = Math.Max(last, first + count - 1);
            var missing = last - first + 1 - numbers.Distinct().Count();
            if (missing > 0 && missing < numbers.Length)
                yield return $"{folder}: {pattern} is missing for N = {Missing(first, last, numbers)}";
            for (var i = 1; i < numbers.Length; i++)
                if (numbers[i] < numbers[i - 1])
                {
                    yield return $"{folder}: files are read in the order of their names as text, "
                        + $"{series.ElementAt(i - 1).Value} before {series.ElementAt(i).Value}";
                    break;
                }
        }
    }

    /// <summary>Returns the 3 of x-0-of-3.npy; null for other names.</summary>
    static long? OfAll(Match name) => name.Groups["all"].Success ? Number(name.Groups["all"]) : null;

    static long Number(Group digits) => long.Parse(digits.Value, CultureInfo.InvariantCulture);

    static string Missing(long first, long last, long[] numbers)
    {
        var (there, missing) = (numbers.ToHashSet(), new List<long>());
        for (var n = first; n <= last && missing.Count <= MostMissing; n++)
            if (!there.Contains(n)) missing.Add(n);
        return string.Join(", ", missing.Take(MostMissing)) + (missing.Count > MostMissing ? ", …" : "");
    }

    [GeneratedRegex(@"^(?<before>.*?)(?<number>[0-9]{1,18})(?<after>(-of-(?<all>[0-9]{1,9}))?[^0-9]*)$",
        RegexOptions.Singleline)]
    private static partial Regex Pattern();
}
