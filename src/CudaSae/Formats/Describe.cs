using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>Descriptions for messages, and functions that all layouts use.</summary>
static class Describe
{
    /// <summary>Returns the capacity of a row of the sparse path, in entries, for files that do not define
    /// one.</summary>
    public static int Room(int latents) => Math.Min(latents, SaeSpec.MaxActive);

    public static Selection Relu(int latents) => new Selection.Relu(Room(latents));

    public static Selection JumpRelu(int latents) =>
        new Selection.JumpRelu(InitialThreshold: 0, Form: ThresholdForm.Direct, Room: Room(latents));

    public static Selection Gated(int latents) => new Selection.Gated(Room: Room(latents));

    public static string Selection(SaeSpec spec) => spec.Selection switch
    {
        Model.Selection.Relu => "ReLU",
        Model.Selection.JumpRelu => "JumpReLU",
        Model.Selection.Gated => "Gated",
        Model.Selection.TopK => $"TopK (k {spec.ActiveAtInference})",
        Model.Selection.AbsTopK => $"AbsTopK (k {spec.ActiveAtInference})",
        Model.Selection.BatchTopK batch => $"BatchTopK (k {batch.K})",
        Model.Selection.GroupMax groups => $"GroupMax (k {groups.K})",
        var other => other.GetType().Name,
    } + (spec.Transcoder is null ? "" : spec.Transcoder.Skip ? " transcoder with skip connection" : " transcoder");

    public static string Normalization(InputNormalization normalization) => normalization switch
    {
        InputNormalization.LayerNorm => "layer norm",
        InputNormalization.ConstantNorm => "to norm √d",
        _ => "none",
    };

    /// <summary>Describes an SAE in one line.</summary>
    public static string Line(SaeModel model)
    {
        var spec = model.Spec;
        var widths =
            $"d {spec.InputWidth}{(spec.OutputWidth != spec.InputWidth ? $" to {spec.OutputWidth}" : "")}, n "
                + $"{spec.Latents}";
        return $"{Selection(spec)}, {widths}" + (spec.PreEncoderBias ? ", b_dec subtracted from the input" : "")
            + (spec.Sites is { Length: > 1 } sites ? $", {sites.Length} sites" : "")
            + (model.Normalization != InputNormalization.None
                ? $", rows normalized ({Normalization(model.Normalization)})" : "");
    }

    /// <summary>Validates a spec; an error names the file from which it was read.</summary>
    public static SaeSpec Checked(SaeSpec spec, string path)
    {
        try { return spec.ValidateFinished(); }
        catch (SaeException e) { throw new SaeException($"{path} does not describe a usable SAE: {e.Message}", e); }
    }
}
