using System.Globalization;

namespace CudaSae.Model;

/// <summary>What training takes from its data.</summary>
/// <param name="InputScale">s: x = s · raw, so that E‖x‖ = √d, or where the mean dominates E‖x − x̄‖² = d; 1 without
/// ScaleInputs.</param>
/// <param name="Variance">E‖y − ȳ‖² of the scaled target, which is the input unless transcoding: the loss is divided by
/// it.</param>
/// <param name="TargetScale">The scale of a transcoder's target, so that E‖y‖ = √d_out; otherwise the input's.</param>
readonly record struct DataScale(double InputScale, double Variance, double TargetScale)
{
    public DataScale(double inputScale, double variance) : this(inputScale, variance, inputScale) { }

    /// <summary>As a checkpoint keeps it.</summary>
    internal IEnumerable<KeyValuePair<string, string>> Save() =>
        [new("input_scale", Text(InputScale)), new("variance", Text(Variance)), new("target_scale", Text(TargetScale))];

    static string Text(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>From a checkpoint; null where it keeps none, as older ones.</summary>
    internal static DataScale? From(IReadOnlyDictionary<string, string> saved) =>
        Number(saved, "input_scale") is { } input && Number(saved, "variance") is { } variance
            && Number(saved, "target_scale") is { } target
            ? new(input, variance, target)
            : null;

    static double? Number(IReadOnlyDictionary<string, string> saved, string key) =>
        saved.TryGetValue(key, out var text)
            && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            ? number
            : null;
}
