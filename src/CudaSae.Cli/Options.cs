using System.CommandLine;
using System.CommandLine.Parsing;
using CudaSae.Text;

namespace CudaSae.Cli;

/// <summary>Every option of every command is made here, so that each takes exactly the forms of <see cref="Forms"/>,
/// and what it refuses is one line with option, value and forms.</summary>
static class Options
{
    /// <summary>An option with a standard value.</summary>
    public static Option<T> New<T>(string name, string description, T standard) =>
        Parsed(name, description, standard, null, null);

    /// <summary>A number in a range, both ends included.</summary>
    public static Option<T> New<T>(string name, string description, T standard, T least, T most)
        where T : struct, IComparable<T> => Parsed(name, description, standard, least, most);

    /// <summary>A choice among the values of an enum but one, which has no meaning on the command line.</summary>
    public static Option<T> Without<T>(string name, string description, T standard, T excluded) where T : struct, Enum
    {
        string[] names = [.. Forms.NamesOf(typeof(T)).Where(word => !Names.Same(word, $"{excluded}"))];
        return new(name)
        {
            Description = description,
            HelpName = string.Join('|', names),
            DefaultValueFactory = _ => standard,
            CustomParser = result =>
            {
                var text = result.Tokens[^1].Value;
                if (Forms.Read(typeof(T), text) is T value && !value.Equals(excluded)) return value;
                result.AddError(
                    $"{name} {Shown(text)}: it must be one of {string.Join(", ", names)}{Names.Hint(text, names)}");
                return standard;
            },
        };
    }

    /// <summary>A number that may be left out.</summary>
    public static Option<T?> Optional<T>(string name, string description, T least, T most)
        where T : struct, IComparable<T> => new(name)
        {
            Description = description,
            CustomParser = result => Value(result, typeof(T), least, most) is T value ? value : null,
        };

    /// <summary>True when it is there, or as the word behind it says.</summary>
    public static Option<bool> Flag(string name, string description) =>
        new(name)
        {
            Description = description,
            CustomParser = result => result.Tokens.Count == 0 || Value(result, typeof(bool), null, null) is true,
        };

    static Option<T> Parsed<T>(string name, string description, T standard, object? least, object? most) => new(name)
    {
        Description = description,
        HelpName = typeof(T).IsEnum ? string.Join('|', Forms.NamesOf(typeof(T))) : null,
        DefaultValueFactory = _ => standard,
        CustomParser = result => result.Tokens.Count == 0 && standard is bool ? (T)(object)true
            : Value(result, typeof(T), least, most) is T value ? value : default,
    };

    /// <summary>The value of the one token; null with an error where it has another form.</summary>
    static object? Value(ArgumentResult result, Type type, object? least, object? most)
    {
        if (result.Tokens is not [.., { Value: var text }]) return null;        // which the parser refuses itself
        if (Forms.Read(type, text) is { } value
            && (least is null || Comparer<object>.Default.Compare(value, least) >= 0)
            && (most is null || Comparer<object>.Default.Compare(value, most) <= 0)) return value;
        result.AddError($"{NameOf(result)} {Shown(text)}: it must be "
            + $"{Forms.Of(type, least, most)}{(type.IsEnum ? Names.Hint(text, Forms.NamesOf(type)) : "")}");
        return null;
    }

    static string NameOf(ArgumentResult result) => (result.Parent as OptionResult)?.Option.Name ?? result.Argument.Name;

    static string Shown(string text) => text.Length == 0 ? "''"
        : text.Any(c => char.IsWhiteSpace(c) || char.IsControl(c)) ? $"'{text}'" : text;
}
