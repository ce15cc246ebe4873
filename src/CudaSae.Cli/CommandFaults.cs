using System.CommandLine;
using System.CommandLine.Parsing;
using CudaSae.Cli.Help;
using CudaSae.Text;

namespace CudaSae.Cli;

/// <summary>Describes an error in a command line in one line, with the likely intended word.</summary>
static class CommandFaults
{
    /// <summary>Returns the error, or null if there is none.</summary>
    /// <param name="arguments">The words that the command line was parsed from.</param>
    /// <param name="program">Program whose help the line names.</param>
    public static string? Of(ParseResult parsed, IReadOnlyList<string> arguments, string program = Commands.Program)
    {
        if (HelpOptions.AreAsked(parsed)) return null;
        var command = string.Concat(Path(parsed.CommandResult).Select(name => $" {name}"));
        var fault = NoTruth(parsed, arguments) ?? Misplaced(parsed) ?? NoValue(parsed) ?? First(parsed.Errors);
        return fault is null ? null : $"{fault}; see {program}{command} --help";
    }

    /// <summary>Errors in the value of an option come before errors about missing words.</summary>
    static string? First(IEnumerable<ParseError> errors) =>
        errors.MinBy(e => e.SymbolResult is not ArgumentResult { Parent: OptionResult })?.Message.TrimEnd('.');

    /// <summary>Finds a word that is not a command, or an option that does not exist. The data argument of a command
    /// would otherwise take it.</summary>
    static string? Misplaced(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var groups = command.Subcommands.Count > 0 && command.Arguments.Count == 0;
        // After -- every word is an argument.
        var behind = parsed.Tokens.SkipWhile(t => t.Type != TokenType.DoubleDash);
        var directive = parsed.Tokens.FirstOrDefault(t => t.Type == TokenType.Directive);
        if (directive is not null) return $"there is no command '{directive.Value}'";
        string[] words = [.. parsed.CommandResult.Tokens.Select(t => t.Value), .. parsed.UnmatchedTokens];
        foreach (var word in words.SkipLast(behind.Count(t => t.Type == TokenType.Argument)))
        {
            if (word is ['-', _, ..]) return NoOption(word.Split('=')[0], parsed.CommandResult);
            if (groups) return NoCommand(word, command);
        }
        if (words.Any(IsNoName)) return "a name among the arguments is empty; is a variable of the shell not set?";
        return groups && command.Action is null && words.Length == 0 && parsed.Errors.Count > 0
            ? $"a command is missing: {string.Join(", ", command.Subcommands.Select(c => c.Name))}" : null;
    }

    static string NoCommand(string written, Command command) =>
        $"there is no command '{written}'{Names.Hint(written, command.Subcommands.Select(c => c.Name))}";

    static string NoOption(string written, CommandResult command) => $"there is no option {written}"
        + Names.Hint(written, Options(command).Where(option => !option.Hidden).Select(option => option.Name));

    /// <summary>Finds a word after a flag that is neither true nor false but is joined to the flag or resembles a truth
    /// value. It would otherwise be taken for data.</summary>
    static string? NoTruth(ParseResult parsed, IReadOnlyList<string> arguments)
    {
        var truths = Options(parsed.CommandResult).Where(option => option.ValueType == typeof(bool));
        var flags = truths.Select(option => option.Name).ToHashSet();
        foreach (var (token, next) in parsed.Tokens.Zip(parsed.Tokens.Skip(1)))
            if (token.Type == TokenType.Option && flags.Contains(token.Value) && next.Type == TokenType.Argument
                && LooksLikeTruth(next.Value)) return Must(token.Value, next.Value);
        foreach (var parts in arguments.TakeWhile(word => word != "--").Select(word => word.Split('=', 2)))
            if (parts is [var flag, var word] && flags.Contains(flag) && !IsTruth(word)) return Must(flag, word);
        return null;

        static string Must(string flag, string word) =>
            $"{flag} {(IsNoName(word) ? $"'{word}'" : word)}: it must be true or false, or stand alone for true";
    }

    /// <summary>Finds an option that is given twice, or whose value is missing, is empty, or is the next
    /// option.</summary>
    static string? NoValue(ParseResult parsed)
    {
        foreach (var given in parsed.CommandResult.Children.OfType<OptionResult>().Where(option => !option.Implicit))
        {
            var (name, arity, times) = (given.Option.Name, given.Option.Arity, given.IdentifierTokenCount);
            if (arity.MaximumNumberOfValues <= 1 && times > 1) return $"{name} is given {times} times; give it once";
            if (arity.MinimumNumberOfValues > given.Tokens.Count) return $"{name} has no value";
            foreach (var text in given.Tokens.Select(token => token.Value))
            {
                if (IsNoName(text)) return $"{name}: its value is empty";
                if (text is ['-', '-', _, ..])
                    return $"{name} has no value: {text} looks like an option; write ./{text} for a file of that name";
            }
        }
        return null;
    }

    static bool IsNoName(string word) => string.IsNullOrWhiteSpace(word) || word.Contains('\0');

    static bool IsTruth(string word) => Forms.Read(typeof(bool), word) is not null;

    static readonly string[] Truths =
        ["yes", "no", "on", "off", "y", "n", "t", "f", "1", "0", "", "none", "null", "true", "false"];

    static bool LooksLikeTruth(string word) => !IsTruth(word) && Truths.Any(like => Names.Same(word.Trim(), like));

    static string[] Path(CommandResult result) =>
        result.Parent is CommandResult parent ? [.. Path(parent), result.Command.Name] : [];

    /// <summary>Returns the options of a command and the recursive options of the commands above it.</summary>
    static Option[] Options(CommandResult result) => result.Parent is CommandResult parent
        ? [.. result.Command.Options, .. Options(parent).Where(option => option.Recursive)]
        : [.. result.Command.Options];
}
