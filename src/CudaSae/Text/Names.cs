using System.Text;

namespace CudaSae.Text;

/// <summary>Names that a person writes: presets, formats, backends, enum values, fields and options. Names that are
/// values compare without regard to the case of the letters A to Z; every other character must match. An unknown name
/// is answered with the nearest known one.</summary>
static class Names
{
    /// <summary>Returns whether two names are the same; the culture does not matter.</summary>
    public static bool Same(string a, string b) => Ascii.EqualsIgnoreCase(a, b);

    /// <summary>Returns " (did you mean X?)", or an empty text if no name is near.</summary>
    public static string Hint(string written, IEnumerable<string> names) => Nearest(written, names) is { } nearest
        ? $" (did you mean {nearest}?)" : "";

    /// <summary>Returns the name that was probably meant: one that differs only in separators, a known synonym, one
    /// that differs in a few letters, or one that contains what was written; null if there is none.</summary>
    public static string? Nearest(string written, IEnumerable<string> names)
    {
        if (written.Length > MaxLength || Core(written) is not { Length: > 0 } word) return null;
        (string Name, string Core)[] all = [.. names.Select(name => (name, Core(name)))];
        foreach (var meant in (string[])[word, .. NameSynonyms.Of(word)])
            if (all.FirstOrDefault(n => n.Core == meant).Name is { } same) return same;
        if (all.Length == 0) return null;
        var (best, distance) = all.Select(n => (n.Name, Distance(word, n.Core))).MinBy(n => n.Item2);
        if (distance <= Math.Max(1, (word.Length + 1) / 3) && distance < word.Length) return best;
        return word.Length < 3 ? null : all.FirstOrDefault(n => n.Core.StartsWith(word, StringComparison.Ordinal)).Name
            ?? all.FirstOrDefault(n => n.Core.Contains(word, StringComparison.Ordinal)).Name;
    }

    const int MaxLength = 64;

    /// <summary>Returns the letters and digits in lower case, which separators and capitals do not change.</summary>
    static string Core(string name) => string.Concat(name.Where(char.IsLetterOrDigit)).ToLowerInvariant();

    /// <summary>Counts the insertions, deletions, exchanges and swaps of neighbours between two words (optimal string
    /// alignment).</summary>
    static int Distance(string a, string b)
    {
        var d = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++) d[i, 0] = i;
        for (var j = 0; j <= b.Length; j++) d[0, j] = j;
        for (var i = 1; i <= a.Length; i++)
            for (var j = 1; j <= b.Length; j++)
            {
                d[i, j] = Math.Min(Math.Min(d[i - 1, j], d[i, j - 1]) + 1, d[i - 1, j - 1]
                    + (a[i - 1] == b[j - 1] ? 0 : 1));
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i, j] =
                    Math.Min(d[i, j], d[i - 2, j - 2] + 1);
            }
        return d[a.Length, b.Length];
    }
}
