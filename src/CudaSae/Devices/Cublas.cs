using System.Runtime.InteropServices;

namespace CudaSae.Devices;

/// <summary>One dense product of cuBLAS, for the path that validates the sparse one. On the emulator its own library
/// answers.</summary>
sealed unsafe class Cublas : IDisposable
{
    const int Transposed = 1, Plain = 0, Bf16 = 14, Float32 = 0, ComputeFloat32 = 68, DefaultAlgorithm = -1;

    /// <summary>What cuBLAS is called here, the newest first.</summary>
    public static readonly string[] Names = OperatingSystem.IsWindows() ? ["cublas64_13.dll", "cublas64_12.dll"]
        : ["libcublas.so.13", "libcublas.so.12", "libcublas.so"];

    readonly nint handle;
    readonly delegate* unmanaged<nint, int> destroy;
    readonly delegate* unmanaged<nint, nint, int> setStream;
    readonly delegate* unmanaged<nint, int, int, int, int, int, float*, ulong, int, int, ulong, int, int, float*, ulong, int, int, int, int, int> gemm;

    public Cublas(CudaDriver driver)
    {
        var library = nint.Zero;
        if (!driver.Emulated && !Names.Any(name => NativeLibrary.TryLoad(name, out library))) throw NotFound();
        nint Get(string name) => driver.Emulated ? driver.TryGet(name) : NativeLibrary.GetExport(library, name);
        if (Get("cublasCreate_v2") == 0) throw NotFound();
        destroy = (delegate* unmanaged<nint, int>)Get("cublasDestroy_v2");
        setStream = (delegate* unmanaged<nint, nint, int>)Get("cublasSetStream_v2");
        gemm = (delegate* unmanaged<nint, int, int, int, int, int, float*, ulong, int, int, ulong, int, int, float*, ulong, int, int, int, int, int>)Get("cublasGemmEx");
        nint made;
        Check(((delegate* unmanaged<nint*, int>)Get("cublasCreate_v2"))(&made), "cublasCreate");
        handle = made;
    }

    /// <summary>C [m, n] = A [m, k] · B [n, k]ᵀ, row-major; to cuBLAS, whose matrices are column-major, Cᵀ = B ·
    /// Aᵀ.</summary>
    public void GemmNT(int m, int n, int k, ulong a, int lda, ulong b, int ldb, ulong c, int ldc, nint stream)
    {
        float one = 1, zero = 0;
        Check(setStream(handle, stream), "cublasSetStream");
        Check(gemm(handle, Transposed, Plain, n, m, k, &one, b, Bf16, ldb, a, Bf16, lda, &zero, c, Float32, ldc,
            ComputeFloat32, DefaultAlgorithm),
            "cublasGemmEx");
    }

    static void Check(int status, string call)
    {
        if (status != 0) throw CudaException.OfCublas(status, call);
    }

    public static SaeException NotFound() =>
        new($"cuBLAS ({Names[0]}) was not found; it is needed for the dense check only: leave out --validate-every, or "
            + "install the CUDA runtime libraries");

    public void Dispose() => destroy(handle);
}
