using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>The parameters that the optimizer updates.</summary>
[Flags]
[JsonConverter(typeof(NamedEnum<Trainable>))]
public enum Trainable : uint
{
    /// <summary>No parameter.</summary>
    None = 0,
    /// <summary>WEnc.</summary>
    Encoder = 1,
    /// <summary>b_enc, or b_gate of Gated.</summary>
    EncoderBias = 2,
    /// <summary>WDec.</summary>
    Decoder = 4,
    /// <summary>b_dec.</summary>
    DecoderBias = 8,
    /// <summary>θ of JumpReLU.</summary>
    Threshold = 16,
    /// <summary>b_mag of Gated.</summary>
    MagnitudeBias = 32,
    /// <summary>r_mag of Gated.</summary>
    MagnitudeScale = 64,
    /// <summary>W_skip of a transcoder.</summary>
    Skip = 128,
    /// <summary>s of Tying.Scaled.</summary>
    TieScale = 256,
    /// <summary>Every parameter.</summary>
    All = 511,
}
