namespace CudaSae.Model;

/// <summary>The standard values of the spec's and the configuration's fields.</summary>
static class RecordDefaults
{
    static readonly TrainConfig Config = new();
    static readonly SaeSpec Spec = new() { InputWidth = 1, Latents = 1, Selection = new Selection.TopK(1) };

    /// <summary>Returns a record with standard values, or null if the type has none.</summary>
    public static object? Of(Type record) =>
        record == typeof(TrainConfig) ? Config : record == typeof(SaeSpec) ? Spec : null;
}
