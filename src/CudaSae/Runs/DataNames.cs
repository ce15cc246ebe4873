using System.Globalization;

namespace CudaSae.Runs;

/// <summary>The names of a run's or a sweep's files in its record.</summary>
/// <param name="Data">Files or folders of activations.</param>
/// <param name="Beside">Files or folders that hold other sites of the same rows; each is joined to the right.</param>
/// <param name="HeldOut">A number of rows at the end of the data, or a file; null for the rule of
/// <see cref="RunData"/>.</param>
/// <param name="Tensor">The tensor or column to read; null if the files hold one.</param>
sealed record DataNames(string[] Data, string[] Beside, string? HeldOut, string? Tensor)
{
    /// <summary>Returns the names with full paths, which is the form in a record.</summary>
    public DataNames Full() => this with
    {
        Data = [.. Data.Select(Path.GetFullPath)],
        Beside = [.. Beside.Select(Path.GetFullPath)],
        HeldOut = HeldOut is null || IsNumber(HeldOut) ? HeldOut : Path.GetFullPath(HeldOut),
    };

    /// <summary>Returns whether a checked value of HeldOut is a number of rows.</summary>
    public static bool IsNumber(string heldOut) => heldOut.Length > 0 && heldOut.All(char.IsAsciiDigit);

    /// <summary>Returns the number of held-out rows; null if HeldOut is a file or null.</summary>
    /// <param name="rows">Number of rows of the data, for the advice in the message.</param>
    /// <exception cref="SaeException">HeldOut is neither a number nor a file.</exception>
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

    /// <summary>Returns advice that converts a share of the data, such as 0.1 or 10%, to a number of rows; empty if the
    /// text is not a share.</summary>
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
