namespace CudaSae.Data;

/// <summary>Element type of an activation file; the values are what kernels/prepare.cu reads.</summary>
public enum InputType { Float32 = 0, Float16 = 1, BFloat16 = 2 }

public static class InputTypes
{
    public static int Bytes(this InputType type) => type == InputType.Float32 ? 4 : 2;
}
