namespace CudaSae.Model;

/// <summary>The weights of an SAE in host memory, float32. Both matrices hold one row per latent.</summary>
public sealed class SaeParameters : IDisposable
{
    public SaeParameters(SaeSpec spec)
    {
        WEnc = new(spec.Latents, spec.InputWidth);
        WDec = new(spec.Latents, spec.InputWidth);
        BEnc = new float[spec.Latents];
        BDec = new float[spec.InputWidth];
    }

    public Matrix WEnc { get; }     // [n, d]
    public Matrix WDec { get; }     // [n, d]
    public float[] BEnc { get; }    // [n]
    public float[] BDec { get; }    // [d], also subtracted from the input

    public void Dispose()
    {
        WEnc.Dispose();
        WDec.Dispose();
    }
}
