using System.CommandLine;
using System.CommandLine.Parsing;
using CudaSae.Data;

namespace CudaSae.Cli;

/// <summary>The program's commands, and how a command line is parsed, refused and run.</summary>
static class Commands
{
    /// <summary>Exit codes: of what a person can mend, and of an error of this program.</summary>
    public const int Refused = 2, Internal = 70;

    const string TraceVariable = "CUDASAE_TRACE";

    public static RootCommand Root()
    {
        var root = new RootCommand("Trains sparse autoencoders on neural activations: CUDA kernels, or the CPU.")
        {
            TrainCommand.Create(),
            EvalCommand.Create(),
            VerifyCommand.Create(),
            DevicesCommand.Create(),
            BenchCommand.Create(),
            HarvestCommand.Create(),
            SynthCommand.Create(),
            RecoverCommand.Create(),
            InspectCommand.Create(),
            PresetsCommand.Create(),
            FinetuneCommand.Create(),
            CompareCommand.Create(),
            SweepCommand.Create(),
            ConvertCommand.Create(),
            ReportCommand.Create(),
            ProbeCommand.Create(),
            LabelsCommand.Create(),
            OthelloCommand.Create(),
            ToyCommand.Create(),
            ImagesCommand.Create(),
        };
        root.Directives.Clear();
        return root;
    }

    /// <summary>Words as they stand: no response files, no bundles of letters.</summary>
    public static ParseResult Parse(Command command, IReadOnlyList<string> arguments) => command.Parse(arguments, new() { EnablePosixBundling = false, ResponseFileTokenReplacer = null });

    /// <summary>What is wrong with a command line, one line; null for nothing.</summary>
    /// <param name="arguments">That it was parsed from.</param>
    public static string? Fault(ParseResult parsed, IReadOnlyList<string> arguments)
    {
        if (parsed.Action is System.CommandLine.Help.HelpAction || parsed.Errors.Count == 0 && parsed.Action?.GetType().Name.Contains("Version", StringComparison.Ordinal) == true) return null;
        var command = parsed.CommandResult.Command;
        if ((NoTruth(parsed, arguments) ?? Misplaced(parsed) ?? NoValue(parsed) ?? parsed.Errors.MinBy(error => error.SymbolResult is not ArgumentResult { Parent: OptionResult { Implicit: false } })?.Message.TrimEnd('.')) is not { } fault) return null;
        return $"{fault}; see cudasae{string.Concat(Path(parsed.CommandResult).Select(name => $" {name}"))} --help";
    }

    /// <summary>Runs a command line to its exit code; what is refused is one line on the error stream.</summary>
    public static int Run(IReadOnlyList<string> arguments)
    {
        try
        {
            var parsed = Parse(Root(), arguments);
            if (Fault(parsed, arguments) is { } fault) throw new SaeException(fault);
            return parsed.Invoke(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception e)
        {
            var (message, code) = Describe(e);
            Console.Error.WriteLine($"cudasae: {message}");
            if (code == Internal && Environment.GetEnvironmentVariable(TraceVariable) is { Length: > 0 }) Console.Error.WriteLine(e);
            return code;
        }
    }

    /// <summary>One line for an exception that ended a command, and the exit code.</summary>
    static (string Message, int Code) Describe(Exception thrown) => Innermost(thrown) switch
    {
        SaeException e => (e.Message, Refused),
        var e when AtomicFile.IsRefusal(e) => ($"{AtomicFile.Reason(e)}; free some space or choose another folder", Refused),
        OutOfMemoryException => ("the machine ran out of memory; use fewer latents or smaller batches", Refused),
        var e => (new SaeException($"internal error: {e.GetType().Name}: {e.Message.TrimEnd('.')}; please report it, with what {TraceVariable}=1 adds").Message, Internal),
    };

    /// <summary>What threads and type initializers threw, out of their envelopes.</summary>
    static Exception Innermost(Exception e) => e switch
    {
        AggregateException all => Innermost(all.Flatten().InnerExceptions.FirstOrDefault(inner => inner is SaeException) ?? all.Flatten().InnerExceptions[0]),
        System.Reflection.TargetInvocationException or TypeInitializationException when e.InnerException is { } inner => Innermost(inner),
        _ => e,
    };

    /// <summary>A word that is no command, or an option where there is none: the data of a command would else take it.</summary>
    static string? Misplaced(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var literal = parsed.Tokens.SkipWhile(t => t.Type != TokenType.DoubleDash).Count(t => t.Type == TokenType.Argument);       // behind --, where every word is an argument
        if (parsed.Tokens.FirstOrDefault(t => t.Type == TokenType.Directive) is { } directive) return $"there is no command '{directive.Value}'";
        string[] words = [.. parsed.CommandResult.Tokens.Select(t => t.Value), .. parsed.UnmatchedTokens];
        foreach (var word in words.SkipLast(literal))
        {
            if (word.Length > 1 && word[0] == '-') return $"there is no option {word.Split('=')[0]}{Names.Hint(word.Split('=')[0], Options(parsed.CommandResult))}";
            if (command.Subcommands.Count > 0 && command.Arguments.Count == 0) return $"there is no command '{word}'{Names.Hint(word, command.Subcommands.Select(c => c.Name))}";
        }
        if (words.Any(word => string.IsNullOrWhiteSpace(word) || word.Contains('\0'))) return "a name among the arguments is empty or has a character of code 0; is a variable of the shell not set?";
        return command.Subcommands.Count > 0 && command.Action is null && words.Length == 0 && parsed.Errors.Count > 0 ? $"a command is missing: {string.Join(", ", command.Subcommands.Select(c => c.Name))}" : null;
    }

    /// <summary>A word behind a flag that is neither true nor false, but is joined to it or looks as if it should be: it would else be taken for data.</summary>
    static string? NoTruth(ParseResult parsed, IReadOnlyList<string> arguments)
    {
        var flags = All(parsed.CommandResult).Where(option => option.ValueType == typeof(bool)).Select(option => option.Name).ToHashSet();
        for (var i = 0; i + 1 < parsed.Tokens.Count; i++)
            if (parsed.Tokens[i] is { Type: TokenType.Option, Value: var flag } && flags.Contains(flag) && parsed.Tokens[i + 1] is { Type: TokenType.Argument, Value: var word } && LooksLikeTruth(word))
                return Must(flag, word);
        foreach (var parts in arguments.TakeWhile(word => word != "--").Select(word => word.Split('=', 2)))
            if (parts is [var name, var value] && flags.Contains(name) && Forms.Read(typeof(bool), value) is null) return Must(name, value);
        return null;

        static string Must(string flag, string word) => $"{flag} {(string.IsNullOrWhiteSpace(word) ? $"'{word}'" : word)}: it must be true or false, or stand alone for true";
    }

    /// <summary>An option that is given twice, or whose value is missing, empty, or the next option.</summary>
    static string? NoValue(ParseResult parsed)
    {
        foreach (var option in parsed.CommandResult.Children.OfType<OptionResult>().Where(option => !option.Implicit))
        {
            var arity = option.Option.Arity;
            if (arity.MaximumNumberOfValues <= 1 && option.IdentifierTokenCount > 1) return $"{option.Option.Name} is given {option.IdentifierTokenCount} times; give it once";
            if (arity.MinimumNumberOfValues > option.Tokens.Count) return $"{option.Option.Name} has no value";
            foreach (var text in option.Tokens.Select(token => token.Value))
            {
                if (string.IsNullOrWhiteSpace(text) || text.Contains('\0')) return $"{option.Option.Name}: its value is empty or has a character of code 0";
                if (text.Length > 2 && text.StartsWith("--", StringComparison.Ordinal)) return $"{option.Option.Name} has no value: {text} looks like an option; of a file of that name write ./{text}";
            }
        }
        return null;
    }

    static bool LooksLikeTruth(string word) => Forms.Read(typeof(bool), word) is null
        && ((string[])["yes", "no", "on", "off", "y", "n", "t", "f", "1", "0", "", "none", "null", "true", "false"]).Any(like => Names.Same(word.Trim(), like));

    static IEnumerable<string> Path(CommandResult result) => result.Parent is CommandResult parent ? [.. Path(parent), result.Command.Name] : [];

    static IEnumerable<Option> All(CommandResult result) => [.. result.Command.Options, .. result.Parent is CommandResult parent ? All(parent).Where(option => option.Recursive) : []];

    static IEnumerable<string> Options(CommandResult result) => All(result).Where(option => !option.Hidden).Select(option => option.Name);
}
