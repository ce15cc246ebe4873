using System.CommandLine;
using System.Globalization;

namespace CudaSae.Cli;

/// <summary>The forms of --held-out: a number of rows at the end of the data, or a file of rows.</summary>
static class HeldOutOption
{
    public static Option<string?> New() => new("--held-out")
    {
        Description = "rows at the end of the data that are kept for evaluation, or a file of such rows; "
            + "a tenth, at most 8192, if not given",
        HelpName = "rows|file",
    };

    /// <summary>The number of rows; null for a file, and for no text.</summary>
    /// <param name="rows">Of the data, for the advice.</param>
    /// <exception cref="SaeException">It is neither a number nor a file.</exception>
    public static long? Rows(string? text, long rows)
    {
        if (text is null) return null;
        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return number;
        if (File.Exists(text) || Directory.Exists(text)) return null;
        var fault = text.Trim().Length == 0
            ? "is empty"
            : $"{text} is neither a number of rows nor a file that exists";
        throw new SaeException($"--held-out {fault}; "
            + $"give a whole number of rows, 0 for none, or a file{Share(text, rows)}");
    }

    /// <summary>Whether a record's text, or one that was checked, is a number of rows.</summary>
    public static bool IsNumber(string text) => text.Length > 0 && text.All(char.IsAsciiDigit);

    /// <summary>What a share of the rows would be written as.</summary>
    static string Share(string text, long rows)
    {
        var percent = text.TrimEnd().EndsWith('%');
        var number = text.TrimEnd(' ', '%');
        if (!double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out var share)) return "";
        if (percent) share /= 100;
        return share is > 0 and < 1
            ? $": {text} of these {rows} rows is --held-out {Math.Max(1, (long)(share * rows))}"
            : "";
    }
}
