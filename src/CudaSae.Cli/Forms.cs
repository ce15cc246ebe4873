using System.Globalization;
using System.Text.RegularExpressions;
using CudaSae.Backends;
using CudaSae.Model;
using CudaSae.Text;

namespace CudaSae.Cli;

/// <summary>Reads and writes the textual forms of values, which are the same in every culture: whole numbers in digits,
/// numbers with a point and an exponent, true or false, and names. All other forms are refused: blanks, thousands
/// separators, a plus sign, hexadecimal, NaN, infinity, and the number of an enum value.</summary>
static partial class Forms
{
    /// <summary>Returns the value of a text; null if the text has another form or is out of the type's range.</summary>
    public static object? Read(Type type, string text) => Type.GetTypeCode(type) switch
    {
        _ when type == typeof(BackendKind) => Enum.GetValues<BackendKind>().Cast<object>()
            .FirstOrDefault(kind => Names.Same(BackendFactory.Name((BackendKind)kind), text)),
        _ when type.IsEnum => Named(type, text),
        TypeCode.String => text,
        TypeCode.Boolean => Names.Same(text, "true") ? true : Names.Same(text, "false") ? false : null,
        TypeCode.Int32 => Whole().IsMatch(text)
            && int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value
            : null,
        TypeCode.Int64 => Whole().IsMatch(text)
            && long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value
            : null,
        TypeCode.UInt64 => Whole().IsMatch(text)
            && ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : null,
        TypeCode.Single => Number(text) is { } value && float.IsFinite((float)value)
            && ((float)value == 0) == (value == 0)
            ? (float.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture)) : null,
        TypeCode.Double => Number(text),
        _ => throw new NotSupportedException($"{type.Name} has no form on a command line"),
    };

    /// <summary>Returns the value of a text; null if the text has another form or is outside the given range.</summary>
    public static T? Within<T>(string text, T least, T most) where T : struct, IComparable<T> =>
        Read(typeof(T), text) is T value && value.CompareTo(least) >= 0 && value.CompareTo(most) <= 0 ? value : null;

    /// <summary>Parses a finite number; refuses a nonzero text that rounds to 0.</summary>
    static double? Number(string text) => Decimal().IsMatch(text)
        && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value)
        && double.IsFinite(value)
        && (value != 0 || text.Split('e', 'E')[0].All(c => c is '0' or '.' or '-')) ? value : null;

    /// <summary>Describes the accepted values in words.</summary>
    public static string Of(Type type, object? least = null, object? most = null) => Type.GetTypeCode(type) switch
    {
        _ when type.IsEnum => $"one of {string.Join(", ", NamesOf(type))}",
        TypeCode.Boolean => "true or false",
        TypeCode.Single or TypeCode.Double =>
            $"a number{Range(least, most)}, such as 0.5 or 1e-3",
        TypeCode.Int32 => $"a whole number{Range(least ?? int.MinValue, most ?? int.MaxValue)}",
        TypeCode.Int64 => $"a whole number{Range(least ?? long.MinValue, most is null or long.MaxValue ? null : most)}",
        TypeCode.UInt64 => $"a whole number{Range(least ?? 0UL, most ?? ulong.MaxValue)}",
        _ => "a text",
    };

    static string Range(object? least, object? most) => least is null ? "" : most is null
        ? FormattableString.Invariant($", {least} or more") : FormattableString.Invariant($" from {least} to {most}");

    /// <summary>Returns the names of an enum's values as they are written, such as lazy-row-adam.</summary>
    public static string[] NamesOf(Type type) => type == typeof(BackendKind)
        ? [.. Enum.GetValues<BackendKind>()
            .Where(kind => kind != BackendKind.ManagedCuda || BackendFactory.ManagedCuda is not null)
            .Select(BackendFactory.Name)]
        : [.. Enum.GetNames(type).Select(SettingSpelling.Hyphenated)];

    /// <summary>Returns the name of an enum's value as it is written.</summary>
    public static string NameOf(Enum value) => value is BackendKind kind ? BackendFactory.Name(kind)
        : SettingSpelling.Hyphenated(value.ToString());

    /// <summary>Returns the value of a name in either spelling: lazy-row-adam, or LazyRowAdam as in records.</summary>
    static object? Named(Type type, string text) =>
        Array.FindIndex(NamesOf(type), name => Names.Same(name, text)) is >= 0 and var at
            ? Enum.GetValues(type).GetValue(at) : EnumNames.Read(type, text);

    [GeneratedRegex("^-?[0-9]+\\z")]
    private static partial Regex Whole();

    [GeneratedRegex("^-?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+)?\\z")]
    private static partial Regex Decimal();
}
