using System.Globalization;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>Writes lines with Spectre's markup to standard output.</summary>
static class StyledText
{
    /// <summary>Writes the parts as one line. Markup in the parts takes effect; markup in their values does
    /// not.</summary>
    public static void Line(params FormattableString[] parts) =>
        AnsiConsole.MarkupLine(string.Concat(parts.Select(part => string.Format(CultureInfo.CurrentCulture, part.Format,
            [.. part.GetArguments().Select(value => value is string text ? text.EscapeMarkup() : value)]))));
}
