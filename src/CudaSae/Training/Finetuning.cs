using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>What is trained again, for reconstruction alone, after a ReLU SAE has been trained with a
/// penalty.</summary>
enum FinetuneKind
{
    /// <summary>WDec and b_dec (Wright and Sharkey 2024).</summary>
    Decoder,
    /// <summary>WDec, b_dec and one scale a latent (Wright and Sharkey 2024).</summary>
    DecoderAndScales,
    /// <summary>A scale and a shift of each latent's value: the control of arXiv 2404.16014.</summary>
    RescaleShift,
}

static class Finetuning
{
    /// <summary>The SAE as it is trained again: no penalty, no auxiliary loss, and the parameters that move.</summary>
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
