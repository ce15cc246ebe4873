using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;

namespace CudaSae.Cli.Help;

/// <summary>Adds --help and --help-all to every command.</summary>
static class HelpOptions
{
    /// <summary>Adds the help options to a program's commands.</summary>
    public static void AddTo(RootCommand root, string program)
    {
        foreach (var help in root.Options.OfType<HelpOption>())
        {
            help.Action = new Print(program, all: false);
            help.Description = "Show this help.";
        }
        foreach (var version in root.Options.OfType<VersionOption>()) version.Description = "Show the version.";
        root.Options.Add(new Option<bool>("--help-all")
        {
            Description = "Show this help with advanced options.", Recursive = true, Arity = ArgumentArity.Zero,
            Action = new Print(program, all: true),
        });
    }

    /// <summary>Whether a command line asks for help.</summary>
    public static bool AreAsked(ParseResult parsed) => parsed.Action is Print;

    sealed class Print(string program, bool all) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parsed)
        {
            var width = Console.IsOutputRedirected ? HelpPage.StandardWidth
                : Math.Clamp(Console.WindowWidth, 60, HelpPage.StandardWidth);
            var above = Above(parsed.CommandResult);
            var path = string.Join(' ', above.Select(c => c is RootCommand ? program : c.Name));
            Option[] recursive = [.. above.SkipLast(1).SelectMany(c => c.Options).Where(o => o.Recursive)];
            Console.Out.Write(new HelpPage(path, parsed.CommandResult.Command, recursive, all, width).Render());
            return 0;
        }

        static Command[] Above(CommandResult result) =>
            result.Parent is CommandResult parent ? [.. Above(parent), result.Command] : [result.Command];
    }
}
