using CudaSae.Formats;
using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Where encoder and decoder rows point, from the weights alone.</summary>
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

    /// <summary>Latents that the following lists are about, ascending: all, or 4096 at equal distances where there are
    /// more than 16,384.</summary>
    public int[] Sampled { get; }

    /// <summary>Cosine of a latent's encoder row and decoder row: the D/E projection. NaN of a transcoder, whose rows
    /// live in different spaces, and where a row is 0.</summary>
    public double[] Projection { get; }

    /// <summary>The other latent whose decoder row is nearest, among all n, and the cosine.</summary>
    public (int Row, double Cosine)[] NearestDecoder { get; }
    public (int Row, double Cosine)[] NearestEncoder { get; }
}
