using System.CommandLine;
using CudaSae.Formats;
using CudaSae.Text;

namespace CudaSae.Cli;

/// <summary>The option --as states how to read the file of an SAE whose contents do not state its kind.</summary>
sealed class KindOption
{
    readonly Option<string?> option = new("--as")
    {
        Description = "sae or transcoder, if the files do not state it [sae]",
    };

    public void AddTo(Command command) => command.Options.Add(option);

    /// <summary>The option as it was given, for a command line that is shown; empty without it.</summary>
    public string Text(ParseResult parsed) => parsed.GetValue(option) is { } kind ? $" --as {kind}" : "";

    /// <exception cref="SaeException">The value is neither sae nor transcoder.</exception>
    public SaeKind? Of(ParseResult parsed) => parsed.GetValue(option) switch
    {
        null => null,
        var kind when Names.Same(kind, "sae") => SaeKind.Sae,
        var kind when Names.Same(kind, "transcoder") => SaeKind.Transcoder,
        var other => throw new SaeException($"--as {other}: it must be sae or transcoder"),
    };
}
