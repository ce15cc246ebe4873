using System.CommandLine;
using System.CommandLine.Parsing;
using CudaSae.Model;
using CudaSae.Text;

namespace CudaSae.Cli;

/// <summary>Creates the options of all commands, so that each accepts exactly the forms of <see cref="Forms"/> and
/// refuses others in one line with option, value and forms.</summary>
static class Options
{
    /// <summary>Creates an option with a default value.</summary>
    public static Option<T> New<T>(string name, string description, T standard) =>
        Parsed(name, description, standard, null, null);

    /// <summary>Creates an option for a number in a range that includes both ends.</summary>
    public static Option<T> New<T>(string name, string description, T standard, T least, T most)
        where T : struct, IComparable<T> => Parsed(name, description, standard, least, most);

    /// <summary>Creates an option for a value in the range of a setting; null for every value of the type.</summary>
    public static Option<T> New<T>(string name, string description, T standard, SettingRange<T>? range) => range is null
        ? Parsed(name, description, standard, null, null)
        : Parsed(name, description, standard, range.Least, range.Most);

    /// <summary>Creates an option for the values of an enum except one, which has no meaning on the command
    /// line.</summary>
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

    /// <summary>Creates an option for a value of an enum that may be left out.</summary>
    public static Option<T?> Choice<T>(string name, string description) where T : struct, Enum => new(name)
    {
        Description = description,
        HelpName = string.Join('|', Forms.NamesOf(typeof(T))),
        CustomParser = result => Value(result, typeof(T), null, null) is T value ? value : null,
    };

    /// <summary>Creates an option for a number that may be left out.</summary>
    public static Option<T?> Optional<T>(string name, string description, T least, T most)
        where T : struct, IComparable<T> => new(name)
        {
            Description = description,
            CustomParser = result => Value(result, typeof(T), least, most) is T value ? value : null,
        };

    /// <summary>Creates an option for a number in the range of a setting that may be left out.</summary>
    public static Option<T?> Optional<T>(string name, string description, SettingRange<T> range)
        where T : struct, IComparable<T> => Optional(name, description, range.Least, range.Most);

    /// <summary>Creates a flag. It is true if it stands alone; otherwise the next word gives its value.</summary>
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

    /// <summary>Returns the value of the single token; null with an error if it has another form.</summary>
    static object? Value(ArgumentResult result, Type type, object? least, object? most)
    {
        if (result.Tokens is not [.., { Value: var text }]) return null;        // the parser refuses this case
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
