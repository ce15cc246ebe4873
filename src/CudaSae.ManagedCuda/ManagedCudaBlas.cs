using CudaSae.Devices;
using ManagedCuda.BasicTypes;
using ManagedCuda.CudaBlas;

namespace CudaSae.ManagedCuda;

/// <summary>One dense product through ManagedCuda-CUBLAS: <see cref="Cublas"/> on that package's imports, because its
/// classes know no bfloat16.</summary>
sealed unsafe class ManagedCudaBlas : IDisposable
{
    readonly CudaBlasHandle handle;

    public ManagedCudaBlas()
    {
        try { Check(CudaBlasNativeMethods.cublasCreate_v2(ref handle), "cublasCreate"); }
        catch (DllNotFoundException) { throw Cublas.NotFound(); }
    }

    /// <summary>C [m, n] = A [m, k] · B [n, k]ᵀ, row-major; to cuBLAS, whose matrices are column-major, Cᵀ = B ·
    /// Aᵀ.</summary>
    public void GemmNT(int m, int n, int k, CUdeviceptr a, int lda, CUdeviceptr b, int ldb, CUdeviceptr c, int ldc,
        CUstream stream)
    {
        float one = 1, zero = 0;
        Check(CudaBlasNativeMethods.cublasSetStream_v2(handle, stream), "cublasSetStream");
        Check(CudaBlasNativeMethods.cublasGemmEx(handle, Operation.Transpose, Operation.NonTranspose, n, m, k,
            (nint)(&one),
            b, cudaDataType.CUDA_R_16BF, ldb, a, cudaDataType.CUDA_R_16BF, lda, (nint)(&zero), c, cudaDataType.CUDA_R_32F, ldc, ComputeType.Compute32F, GemmAlgo.Default), "cublasGemmEx");
    }

    static void Check(CublasStatus status, string call)
    {
        if (status != CublasStatus.Success) throw CudaException.OfCublas((int)status, call);
    }

    public void Dispose() => CudaBlasNativeMethods.cublasDestroy_v2(handle);
}
