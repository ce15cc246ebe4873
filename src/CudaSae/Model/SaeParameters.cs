using CudaSae.Numerics;

namespace CudaSae.Model;

/// <summary>The weights of an SAE in host memory, float32. Both matrices hold one row per latent. Arrays that the spec
/// has no use for are empty.</summary>
public sealed class SaeParameters : IDisposable
{
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

    /// <summary>The same weights with other thresholds. The matrices are shared: dispose one of the two.</summary>
    internal SaeParameters(SaeParameters other, float[] threshold)
    {
        (WEnc, WDec, WSkip, BEnc, BDec) = (other.WEnc, other.WDec, other.WSkip, other.BEnc, other.BDec);
        (BMag, RMag, Scale, Threshold) = (other.BMag, other.RMag, other.Scale, threshold);
    }

    public Matrix WEnc { get; }         // [n, d_in]; Gated: WGate
    public Matrix WDec { get; }         // [n, d_out]
    public float[] BEnc { get; }        // [n]; Gated: b_gate
    public float[] BDec { get; }        // [d_out]; subtracted from the input too with PreEncoderBias
    public float[] Threshold { get; }   // [n] θ of JumpReLU
    public float[] BMag { get; }        // [n] of Gated
    public float[] RMag { get; }        // [n] of Gated: WMag_f = e^r WGate_f
    public float[] Scale { get; }       // [n] of Tying.Scaled: WEnc_f = scale WDec_f
    public Matrix WSkip { get; }        // [d_out, d_in] of a transcoder with a skip connection

    /// <summary>The running threshold of BatchTopK: at inference every z above it is kept.</summary>
    public float BatchThreshold { get; set; }

    public void Dispose()
    {
        WEnc.Dispose();
        WDec.Dispose();
        WSkip.Dispose();
    }
}
