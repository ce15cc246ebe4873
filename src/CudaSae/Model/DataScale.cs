using System.Globalization;

namespace CudaSae.Model;

/// <summary>The numbers that training derives from its data.</summary>
/// <param name="InputScale">s: x = s · raw, so that E‖x‖ = √d, or E‖x − x̄‖² = d if the mean dominates; 1 without
/// ScaleInputs.</param>
/// <param name="Variance">E‖y − ȳ‖² of the scaled target, by which the loss is divided. The target is the input except
/// for a transcoder.</param>
/// <param name="TargetScale">The scale of a transcoder's target, so that E‖y‖ = √d_out; otherwise the scale of the
/// input.</param>
readonly record struct DataScale(double InputScale, double Variance, double TargetScale)
{
    public DataScale(double inputScale, double variance) : this(inputScale, variance, inputScale) { }

    /// <summary>Returns the fields that a checkpoint stores.</summary>
    internal IEnumerable<KeyValuePair<string, string>> Save() =>
        [new("input_scale", Text(InputScale)), new("variance", Text(Variance)), new("target_scale", Text(TargetScale))];

    static string Text(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>Reads the fields of a checkpoint; null if it has none, like checkpoints of older versions.</summary>
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
