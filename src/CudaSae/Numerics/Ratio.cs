namespace CudaSae.Numerics;

/// <summary>Quotients of sums that may be undefined. An undefined one is null in JSON, empty in tables of numbers, and
/// a word in texts.</summary>
static class Ratio
{
    /// <summary>Returns part / whole, or null if the quotient is not finite.</summary>
    public static double? Of(double part, double whole) =>
        part / whole is var ratio && double.IsFinite(ratio) ? ratio : null;

    /// <summary>Formats a ratio by <paramref name="format"/> in <paramref name="culture"/> (default: the current one);
    /// null gives "undefined".</summary>
    public static string Text(double? ratio, string format, IFormatProvider? culture = null) =>
        ratio?.ToString(format, culture) ?? "undefined";
}
