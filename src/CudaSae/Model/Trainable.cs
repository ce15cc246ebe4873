using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>Which parameters the optimizer moves.</summary>
[Flags]
[JsonConverter(typeof(NamedEnum<Trainable>))]
public enum Trainable : uint
{
    None = 0,
    Encoder = 1,            // WEnc
    EncoderBias = 2,        // b_enc, b_gate
    Decoder = 4,            // WDec
    DecoderBias = 8,        // b_dec
    Threshold = 16,         // θ
    MagnitudeBias = 32,     // b_mag
    MagnitudeScale = 64,    // r_mag
    Skip = 128,             // WSkip
    TieScale = 256,
    All = 511,
}
