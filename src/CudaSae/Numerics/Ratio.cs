namespace CudaSae.Numerics;

/// <summary>Quotients of sums that may be undefined: null in JSON, empty in tables of numbers, a word for
/// people.</summary>
static class Ratio
{
    /// <summary>part / whole; null where that is no finite number.</summary>
    public static double? Of(double part, double whole) =>
        part / whole is var ratio && double.IsFinite(ratio) ? ratio : null;

    /// <summary>The number in <paramref name="format"/>, of <paramref name="culture"/> or the current one, or
    /// "undefined".</summary>
    public static string Text(double? ratio, string format, IFormatProvider? culture = null) =>
        ratio?.ToString(format, culture) ?? "undefined";
}
