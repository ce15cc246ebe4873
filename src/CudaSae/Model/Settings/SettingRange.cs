namespace CudaSae.Model;

/// <summary>The values that a setting takes.</summary>
/// <param name="Words">The range as a message states it after "it must be".</param>
/// <param name="Least">The smallest number that an option accepts.</param>
/// <param name="Most">The largest number that an option accepts.</param>
/// <param name="Contains">Whether a value is in range.</param>
sealed record SettingRange<T>(string Words, T Least, T Most, Func<T, bool> Contains);

/// <summary>Makes ranges and applies them.</summary>
static class SettingRange
{
    public static SettingRange<T> Between<T>(T least, T most, string? words = null) where T : IComparable<T> =>
        new(words ?? FormattableString.Invariant($"{least} to {most}"), least, most,
            value => value.CompareTo(least) >= 0 && value.CompareTo(most) <= 0);

    public static SettingRange<int> AtLeast(int least) => new($"{least} or more", least, int.MaxValue, v => v >= least);

    public static SettingRange<long> AtLeast(long least, string? words = null) =>
        new(words ?? $"{least} or more", least, long.MaxValue, value => value >= least);

    /// <summary>A share or a decay: 0 is in range, 1 is not.</summary>
    public static SettingRange<T> FromZeroBelowOne<T>(T zero, T one) where T : IComparable<T> =>
        new("0 or more, below 1", zero, one, value => value.CompareTo(zero) >= 0 && value.CompareTo(one) < 0);

    /// <summary>A number above 0.</summary>
    public static SettingRange<float> Above0(float most, string words) =>
        new(words, 0, most, value => value > 0 && value <= most);

    /// <summary>A range that depends on other fields. It contains every value, because <see cref="SpecRules"/> checks
    /// it.</summary>
    /// <param name="words">The range as the reference states it, with fields as train.json names them.</param>
    public static SettingRange<T> ByRules<T>(string words, T? least = default, T? most = default) =>
        new(words, least!, most!, static _ => true);

    /// <summary>The values of a type within a range, in words.</summary>
    /// <param name="range">Null for every value of the type.</param>
    public static string Words<T>(SettingRange<T>? range) => range?.Words
        ?? (typeof(T).IsEnum ? Text.EnumNames.Forms(typeof(T))
        : typeof(T) == typeof(bool) ? "true or false"
        : typeof(T) == typeof(ulong) ? "a whole number, 0 or more" : "null, or an object");

    /// <summary>Refuses a value out of range. Without a range, it refuses a value that an enum does not define; casts
    /// can produce such values.</summary>
    /// <exception cref="SaeException">Names the setting, its value and its range.</exception>
    public static void Check<T>(string name, T value, SettingRange<T>? range)
    {
        if (range is not null ? !range.Contains(value) : value is Enum choice && !Enum.IsDefined(typeof(T), choice))
            throw OutOfRange(name, value, Words(range));
    }

    /// <summary>Makes the error for a value out of range.</summary>
    public static SaeException OutOfRange(string name, object? value, string range) =>
        new(FormattableString.Invariant($"{name} = {value ?? "null"} is out of range: it must be {range}"));
}
