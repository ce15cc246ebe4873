namespace CudaSae.Devices;

/// <summary>A failed driver or cuBLAS call: number, name, sentence, what was called, and advice where there is some.</summary>
public sealed class CudaException(int code, string message) : SaeException(message)
{
    /// <summary>CUresult, or cublasStatus_t for a cuBLAS call.</summary>
    public int Code { get; } = code;
}
