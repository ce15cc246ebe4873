using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>The kind as which a file is read if its contents do not determine it.</summary>
public enum SaeKind
{
    /// <summary>An SAE, whose decoder predicts the encoder's input.</summary>
    Sae,
    /// <summary>A transcoder, whose decoder predicts other activations of the same width.</summary>
    Transcoder,
}

static class SaeKinds
{
    public static SaeKind Of(SaeSpec spec) => spec.Transcoder is null ? SaeKind.Sae : SaeKind.Transcoder;

    public static string Words(SaeKind kind) => kind == SaeKind.Sae ? "an SAE" : "a transcoder";

    /// <summary>Returns the model as a kind.</summary>
    /// <exception cref="SaeException">The files state another kind, or an SAE with normalized rows should become a
    /// transcoder.</exception>
    public static SaeModel As(SaeModel model, SaeKind kind, string path)
    {
        if (Of(model.Spec) == kind) return model;
        if (!model.KindIsAssumed)
            throw new SaeException($"{path} is {Words(Of(model.Spec))} by its contents; read it as that kind");
        if (model.Normalization is not InputNormalization.None and var rows)
            throw new SaeException($"{path} normalizes its rows ({Describe.Normalization(rows)}); transcoders do not");
        return AsTranscoder(model);
    }

    /// <summary>Returns the same weights as a transcoder. If b_dec was subtracted from the input, the subtraction is
    /// folded into b_enc.</summary>
    public static SaeModel AsTranscoder(SaeModel model)
    {
        var (spec, p) = (model.Spec, model.Parameters);
        if (spec.PreEncoderBias)
        {
            Folding.AddEncodedBias(p.WEnc, p.BDec, p.BEnc, -1);
            if (p.BMag.Length > 0) Folding.AddEncodedBias(p.WEnc, p.BDec, p.BMag, -1, p.RMag);
        }
        return new(spec with { Transcoder = new(spec.InputWidth), PreEncoderBias = false }, p)
        {
            LogFiringFrequency = model.LogFiringFrequency, About = model.About, KindIsAssumed = model.KindIsAssumed,
            Notes = spec.PreEncoderBias ? [.. model.Notes, "b_enc − W_enc b_dec is read as b_enc"] : model.Notes,
        };
    }
}
