using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Numerics;

/// <summary>Element type of an activation file; the values are what kernels/prepare.cu reads.</summary>
[JsonConverter(typeof(NamedEnum<InputType>))]
public enum InputType { Float32 = 0, Float16 = 1, BFloat16 = 2 }

static class InputTypes
{
    public static int Bytes(this InputType type) => type == InputType.Float32 ? 4 : 2;

    /// <summary>The type of that name in safetensors' words; null for any that is no activation's.</summary>
    internal static InputType? Of(string name) => name switch
    {
        "F32" => InputType.Float32,
        "F16" => InputType.Float16,
        "BF16" => InputType.BFloat16,
        _ => null,
    };
}
