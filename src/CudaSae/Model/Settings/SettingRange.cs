namespace CudaSae.Model;

/// <summary>The values that a setting takes.</summary>
/// <param name="Words">The range as a message states it after "it must be".</param>
/// <param name="Least">The smallest number that an option accepts.</param>
/// <param name="Most">The largest number that an option accepts.</param>
/// <param name="Contains">Whether a value is in range.</param>
sealed record SettingRange<T>(string Words, T Least, T Most, Func<T, bool> Contains);

/// <summary>Makes ranges.</summary>
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
}
