using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>Words for messages, and what all layouts share.</summary>
static class Describe
{
    /// <summary>Entries a row of the sparse path gets where a file does not say how many there are.</summary>
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

    /// <summary>One line: what an SAE is.</summary>
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

    /// <summary>A spec that is valid, or an error that names the file it was read from.</summary>
    public static SaeSpec Checked(SaeSpec spec, string path)
    {
        try { return spec.ValidateFinished(); }
        catch (SaeException e) { throw new SaeException($"{path} describes no usable SAE: {e.Message}", e); }
    }
}
