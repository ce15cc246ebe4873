using CudaSae.Numerics;

namespace CudaSae.Model;

/// <summary>The weights of an SAE in host memory, float32. Both matrices hold one row per latent. Arrays that the spec
/// does not use are empty.</summary>
public sealed class SaeParameters : IDisposable
{
    /// <summary>Allocates weights of zeros for a spec; scales are 1.</summary>
    /// <param name="spec">Defines the shapes.</param>
    public SaeParameters(SaeSpec spec)
    {
        WEnc = new(spec.Latents, spec.InputWidth);
        WDec = new(spec.Latents, spec.OutputWidth);
        BEnc = new float[spec.Latents];
        BDec = new float[spec.OutputWidth];
        Threshold = new float[spec.Selection is Selection.JumpRelu ? spec.Latents : 0];
        var gated = spec.Selection is Selection.Gated ? spec.Latents : 0;
        BMag = new float[gated];
        RMag = new float[gated];
        Scale = new float[spec.Tying == Tying.Scaled ? spec.Latents : 0];
        WSkip = new(spec.Transcoder is { Skip: true } ? spec.OutputWidth : 0, spec.InputWidth);
        Array.Fill(Scale, 1);
    }

    /// <summary>Shares the weights of another object but replaces its thresholds. The matrices are shared, so only one
    /// of the two objects must be disposed.</summary>
    internal SaeParameters(SaeParameters other, float[] threshold)
    {
        (WEnc, WDec, WSkip, BEnc, BDec) = (other.WEnc, other.WDec, other.WSkip, other.BEnc, other.BDec);
        (BMag, RMag, Scale, Threshold) = (other.BMag, other.RMag, other.Scale, threshold);
    }

    /// <summary>Encoder weights, [n, d_in]; Gated: WGate.</summary>
    public Matrix WEnc { get; }

    /// <summary>Decoder weights, [n, d_out].</summary>
    public Matrix WDec { get; }

    /// <summary>Encoder bias, [n]; Gated: b_gate.</summary>
    public float[] BEnc { get; }

    /// <summary>Decoder bias, [d_out]; with PreEncoderBias it is also subtracted from the input.</summary>
    public float[] BDec { get; }

    /// <summary>θ of JumpReLU, [n]; otherwise empty.</summary>
    public float[] Threshold { get; }

    /// <summary>b_mag of Gated, [n]; otherwise empty.</summary>
    public float[] BMag { get; }

    /// <summary>r of Gated, [n], with WMag_f = e^r WGate_f; otherwise empty.</summary>
    public float[] RMag { get; }

    /// <summary>Scales of Tying.Scaled, [n], with WEnc_f = scale WDec_f; otherwise empty.</summary>
    public float[] Scale { get; }

    /// <summary>Skip connection of a transcoder, [d_out, d_in]; otherwise without rows.</summary>
    public Matrix WSkip { get; }

    /// <summary>The running threshold of BatchTopK; at inference every z above it is kept.</summary>
    public float BatchThreshold { get; set; }

    /// <summary>Frees the matrices.</summary>
    public void Dispose()
    {
        WEnc.Dispose();
        WDec.Dispose();
        WSkip.Dispose();
    }
}
