namespace CudaSae.Model;

/// <summary>Whether a setting may change when a run is resumed.</summary>
/// <param name="WhyFixed">The reason why it may not; null if it may.</param>
/// <param name="ShapesSae">Whether a checkpoint keeps it, because the saved SAE follows from it.</param>
sealed record ResumeRule(string? WhyFixed, bool ShapesSae)
{
    /// <summary>It may change, and a checkpoint does not keep it.</summary>
    public static readonly ResumeRule Free = new(null, false);

    /// <summary>It may change, and a checkpoint keeps it.</summary>
    public static readonly ResumeRule FreeAndKept = new(null, true);

    public static readonly ResumeRule Weights = new("the starting weights were drawn with it", true),
        Moments = new("the optimizer's state was gathered with it", true),
        Arrays = new("the checkpoint's arrays follow from it", true),
        Rows = new("the order of rows and steps follows from it", true),
        Loss = new("the steps so far minimized another loss with it", true),
        Scale = new("the scale was measured when the run began", true),
        Steps = new("the steps so far were made with it", true);
}
