using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>What a file is read as where its contents do not tell.</summary>
public enum SaeKind
{
    /// <summary>The decoder predicts the encoder's input.</summary>
    Sae,
    /// <summary>The decoder predicts other activations of the same width.</summary>
    Transcoder,
}

static class SaeKinds
{
    public static SaeKind Of(SaeSpec spec) => spec.Transcoder is null ? SaeKind.Sae : SaeKind.Transcoder;

    public static string Words(SaeKind kind) => kind == SaeKind.Sae ? "an SAE" : "a transcoder";

    /// <summary>The model as that kind.</summary>
    /// <exception cref="SaeException">Its files say that it is the other.</exception>
    public static SaeModel As(SaeModel model, SaeKind kind, string path)
    {
        if (Of(model.Spec) == kind) return model;
        if (!model.KindIsAssumed)
            throw new SaeException($"{path} is {Words(Of(model.Spec))} by its contents; it cannot be the other");
        if (model.Normalization is not InputNormalization.None and var rows)
            throw new SaeException($"{path} normalizes its rows ({Describe.Normalization(rows)}); no transcoder does");
        return AsTranscoder(model);
    }

    /// <summary>The same weights. Where b_dec was subtracted from the input, b_enc takes it up.</summary>
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
