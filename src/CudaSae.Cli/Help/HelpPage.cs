using System.CommandLine;
using System.Globalization;
using System.Text;

namespace CudaSae.Cli.Help;

/// <summary>The help of a command: usage, arguments, and options or subcommands in groups.</summary>
/// <param name="path">The command as it is typed: the program's name and those of the commands above.</param>
/// <param name="recursive">Options of the commands above that hold for this one.</param>
/// <param name="all">Whether advanced options are shown.</param>
/// <param name="width">Columns of a line.</param>
sealed class HelpPage(string path, Command command, IReadOnlyList<Option> recursive, bool all, int width)
{
    /// <summary>Columns if the output is not a terminal, and the maximum on one.</summary>
    public const int StandardWidth = 120;

    const int NameColumns = 30, FewOptions = 12;

    readonly StringBuilder page = new();

    public string Render()
    {
        var hasOptions = Shown(command.Options).Any();
        page.Append(CultureInfo.InvariantCulture, $"Usage: {path}");
        if (command.Subcommands.Count > 0) page.Append(command.Action is null ? " COMMAND" : " [COMMAND]");
        foreach (var argument in command.Arguments) page.Append(' ').Append(Usage(argument));
        page.Append(hasOptions ? " [options]\n\n" : "\n\n");
        Wrap(command.Description ?? "", 0, 0);
        Section("Arguments", command.Arguments.Select(a => (Shout(a.Name), a.Description ?? "")));
        Subcommands();
        OptionGroups();
        return page.ToString();
    }

    void Subcommands()
    {
        var left = command.Subcommands.ToList();
        foreach (var (heading, names) in HelpGroups.Commands)
        {
            Section(heading, names.Select(name => left.Find(c => c.Name == name)).OfType<Command>()
                .Select(c => (c.Name, c.Description ?? "")));
            left.RemoveAll(c => names.Contains(c.Name));
        }
        Section("Commands", left.Select(c => (c.Name, c.Description ?? "")));
    }

    void OptionGroups()
    {
        var left = Shown(command.Options).ToList();
        if (left.Count > FewOptions)
            foreach (var (heading, names) in HelpGroups.Options)
            {
                Option[] group = [.. names.Select(name => left.Find(o => o.Name == name)).OfType<Option>()];
                left.RemoveAll(o => names.Contains(o.Name));
                if (heading != HelpGroups.Advanced) Section(heading, group.Select(Line));
                else if (all) Section(heading, group.Select(Line));
                else if (group.Length > 0) advanced = group.Length;
            }
        Section(HelpGroups.Others, left.Concat(Shown(recursive)).Select(Line));
        if (advanced > 0) page.Append('\n').Append(CultureInfo.InvariantCulture,
            $"{advanced} advanced options are not shown; --help-all shows them.\n");
    }

    int advanced;

    static IEnumerable<Option> Shown(IEnumerable<Option> options) => options.Where(option => !option.Hidden);

    static (string, string) Line(Option option) =>
        (string.Join(", ", [.. option.Aliases.Where(IsListed).Order(), option.Name]) + Value(option),
            option.Description + Default(option));

    /// <summary>Whether an alias is listed. Aliases such as -? work but are not listed.</summary>
    static bool IsListed(string alias) => alias[0] == '-' && !alias.EndsWith('?');

    /// <summary>Returns a placeholder for the option's value, or the values it may have.</summary>
    static string Value(Option option)
    {
        if (option.HelpName is { } name) return " " + (name.Contains('|') ? name : Shout(name));
        var type = Nullable.GetUnderlyingType(option.ValueType) ?? option.ValueType;
        return type == typeof(bool) || option.Arity.MaximumNumberOfValues == 0 ? ""
            : type == typeof(float) || type == typeof(double) ? " X"
            : type.IsPrimitive ? " N" : " " + Shout(option.Name.TrimStart('-'));
    }

    static string Default(Option option)
    {
        if (!option.HasDefaultValue || option.ValueType == typeof(bool?)) return "";
        return option.GetDefaultValue() switch
        {
            null or "" or false or long.MaxValue or int.MaxValue or long and < 0 => "",
            true => " [true]",
            Enum value => $" [{Forms.NameOf(value)}]",
            Array => "",
            var value => string.Create(CultureInfo.InvariantCulture, $" [{value}]"),
        };
    }

    static string Usage(Argument argument)
    {
        var name = Shout(argument.Name) + (argument.Arity.MaximumNumberOfValues > 1 ? "..." : "");
        return argument.Arity.MinimumNumberOfValues == 0 ? $"[{name}]" : name;
    }

    static string Shout(string name) => name.ToUpperInvariant();

    void Section(string heading, IEnumerable<(string Name, string Text)> lines)
    {
        (string Name, string Text)[] all = [.. lines];
        if (all.Length == 0) return;
        page.Append('\n').Append(heading).Append(":\n");
        var column = Math.Min(NameColumns, all.Max(line => line.Name.Length)) + 4;
        foreach (var (name, text) in all)
        {
            page.Append("  ").Append(name);
            var at = name.Length + 2;
            if (at + 2 > column)
            {
                page.Append('\n');
                at = 0;
            }
            page.Append(' ', column - at);
            Wrap(text, column, column);
        }
    }

    /// <summary>Appends a text word by word and ends the line.</summary>
    void Wrap(string text, int at, int indent)
    {
        var first = true;
        foreach (var word in text.Split(' '))
        {
            if (!first && at + 1 + word.Length > width)
            {
                page.Append('\n').Append(' ', indent);
                at = indent;
                first = true;
            }
            if (!first) page.Append(' ');
            page.Append(word);
            at += word.Length + (first ? 0 : 1);
            first = false;
        }
        page.Append('\n');
    }
}
