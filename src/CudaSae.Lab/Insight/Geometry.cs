using CudaSae.Formats;
using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>The directions of encoder and decoder rows, computed from the weights alone.</summary>
sealed class Geometry
{
    /// <exception cref="SaeException">A row is not finite.</exception>
    public Geometry(SaeModel model)
    {
        var (spec, p) = (model.Spec, model.Parameters);
        using UnitRows encoder = new(p.WEnc, "W_enc"), decoder = new(p.WDec, "W_dec");
        (EncoderNorms, DecoderNorms) = (encoder.Norms, decoder.Norms);
        Sampled = Cosines.Queries(spec.Latents);
        Projection = [.. Sampled.Select(i => spec.Transcoder is null ? encoder.Cosine(i, decoder, i) : double.NaN)];
        NearestDecoder = Cosines.Nearest(decoder, Sampled, decoder);
        NearestEncoder = Cosines.Nearest(encoder, Sampled, encoder);
    }

    /// <summary>‖row‖, [n].</summary>
    public double[] EncoderNorms { get; }
    public double[] DecoderNorms { get; }

    /// <summary>The latents of the following lists, ascending: all, or 4096 at equal distances if there are more than
    /// 16,384.</summary>
    public int[] Sampled { get; }

    /// <summary>Cosine of each latent's encoder row with its decoder row: the D/E projection. It is NaN for a
    /// transcoder, whose rows lie in different spaces, and where a row is 0.</summary>
    public double[] Projection { get; }

    /// <summary>The nearest other decoder row, among all n, of each latent, and the cosine.</summary>
    public (int Row, double Cosine)[] NearestDecoder { get; }
    public (int Row, double Cosine)[] NearestEncoder { get; }
}
