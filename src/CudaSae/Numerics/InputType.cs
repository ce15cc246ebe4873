using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Numerics;

// kernels/prepare.cu uses the same values.
/// <summary>Element type of rows of activations.</summary>
[JsonConverter(typeof(NamedEnum<InputType>))]
public enum InputType
{
    /// <summary>32-bit IEEE floating point.</summary>
    Float32 = 0,
    /// <summary>16-bit IEEE floating point.</summary>
    Float16 = 1,
    /// <summary>bfloat16: the upper half of a float32.</summary>
    BFloat16 = 2,
}

static class InputTypes
{
    /// <summary>Returns the bytes of an element.</summary>
    public static int Bytes(this InputType type) => type == InputType.Float32 ? 4 : 2;

    /// <summary>Returns the type with this safetensors name, or null if activations cannot have that type.</summary>
    internal static InputType? Of(string name) => name switch
    {
        "F32" => InputType.Float32,
        "F16" => InputType.Float16,
        "BF16" => InputType.BFloat16,
        _ => null,
    };
}
