using System.Globalization;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>Lines with Spectre's markup on standard output.</summary>
static class StyledText
{
    /// <summary>Writes the parts as one line. Markup in the parts has effect; markup in their values has not.</summary>
    public static void Line(params FormattableString[] parts) =>
        AnsiConsole.MarkupLine(string.Concat(parts.Select(part => string.Format(CultureInfo.CurrentCulture, part.Format,
            [.. part.GetArguments().Select(value => value is string text ? text.EscapeMarkup() : value)]))));
}
