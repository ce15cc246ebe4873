using System.Globalization;

namespace CudaSae.Runs;

/// <summary>The files of a run or a sweep, as its record names them.</summary>
/// <param name="Data">Files or folders of activations.</param>
/// <param name="Beside">Files or folders with the same rows of other sites, each joined to the right.</param>
/// <param name="HeldOut">A number of rows at the end of the data, or a file; null for the rule of
/// <see cref="RunData"/>.</param>
/// <param name="Tensor">The tensor or column to read; null where files hold one.</param>
sealed record DataNames(string[] Data, string[] Beside, string? HeldOut, string? Tensor)
{
    /// <summary>The names with full paths, as a record keeps them.</summary>
    public DataNames Full() => this with
    {
        Data = [.. Data.Select(Path.GetFullPath)],
        Beside = [.. Beside.Select(Path.GetFullPath)],
        HeldOut = HeldOut is null || IsNumber(HeldOut) ? HeldOut : Path.GetFullPath(HeldOut),
    };

    /// <summary>Whether a held-out text that was checked is a number of rows.</summary>
    public static bool IsNumber(string heldOut) => heldOut.Length > 0 && heldOut.All(char.IsAsciiDigit);

    /// <summary>The number of held-out rows; null for a file, and for no text.</summary>
    /// <param name="rows">Rows of the data, for the advice.</param>
    /// <exception cref="SaeException">The text is neither a number nor a file.</exception>
    public long? HeldOutRows(long rows)
    {
        if (HeldOut is not { } text) return null;
        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return number;
        if (File.Exists(text) || Directory.Exists(text)) return null;
        var fault = text.Trim().Length == 0 ? "HeldOut is empty"
            : $"HeldOut = {Quoted(text)} is neither a number of rows nor a file that exists";
        throw new SaeException($"{fault}; give a whole number of rows, 0 for none, or a file{Share(text, rows)}");
    }

    static string Quoted(string text) => text.Any(char.IsWhiteSpace) ? $"'{text}'" : text;

    /// <summary>The number of rows that a share of the data is.</summary>
    static string Share(string text, long rows)
    {
        var percent = text.TrimEnd().EndsWith('%');
        if (!double.TryParse(text.TrimEnd(' ', '%'), NumberStyles.Float, CultureInfo.InvariantCulture, out var share))
            return "";
        if (percent) share /= 100;
        return share is > 0 and < 1
            ? $": {text} of these {rows} rows is HeldOut = {Math.Max(1, (long)(share * rows))}" : "";
    }
}
