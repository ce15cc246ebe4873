using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>The parameters that are trained again, for reconstruction only, after a ReLU SAE was trained with a
/// penalty.</summary>
enum FinetuneKind
{
    /// <summary>WDec and b_dec (Wright and Sharkey 2024).</summary>
    Decoder,
    /// <summary>WDec, b_dec and one scale per latent (Wright and Sharkey 2024).</summary>
    DecoderAndScales,
    /// <summary>A scale and a shift of each latent's value, which is the control of arXiv 2404.16014.</summary>
    RescaleShift,
}

static class Finetuning
{
    /// <summary>Returns the SAE for fine-tuning, without penalty and auxiliary loss, and the parameters that are
    /// trained.</summary>
    public static (SaeSpec Spec, SaeParameters Parameters,
        Trainable Trainable) Prepare(SaeSpec spec, SaeParameters parameters, FinetuneKind kind)
    {
        var bare = spec with
        {
            Penalty = null,
            Aux = null,
            Ghost = null,
            PreAct = null,
            DecoderNorm = DecoderNorm.Free
        };
        if (kind == FinetuneKind.Decoder) return (bare, parameters, Trainable.Decoder | Trainable.DecoderBias);
        var (gated, converted) = Export.AsGated(bare, parameters);
        return (gated, converted, kind == FinetuneKind.RescaleShift ? Trainable.MagnitudeBias | Trainable.MagnitudeScale
            : Trainable.Decoder | Trainable.DecoderBias | Trainable.MagnitudeScale);
    }
}
