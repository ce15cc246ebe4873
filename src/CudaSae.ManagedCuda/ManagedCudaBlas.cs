using CudaSae.Devices;
using ManagedCuda.BasicTypes;
using ManagedCuda.CudaBlas;

namespace CudaSae.ManagedCuda;

/// <summary>Computes a dense product through ManagedCuda-CUBLAS. It uses that package's imports as <see cref="Cublas"/>
/// does, because its classes do not support bfloat16.</summary>
sealed unsafe class ManagedCudaBlas : IDisposable
{
    readonly CudaBlasHandle handle;

    public ManagedCudaBlas()
    {
        try { Check(CudaBlasNativeMethods.cublasCreate_v2(ref handle), "cublasCreate"); }
        catch (DllNotFoundException) { throw Cublas.NotFound(); }
    }

    /// <summary>C [m, n] = A [m, k] · B [n, k]ᵀ, row-major. For cuBLAS, whose matrices are column-major, it is Cᵀ = B ·
    /// Aᵀ.</summary>
    public void GemmNT(int m, int n, int k, CUdeviceptr a, int lda, CUdeviceptr b, int ldb, CUdeviceptr c, int ldc,
        CUstream stream)
    {
        float one = 1, zero = 0;
        Check(CudaBlasNativeMethods.cublasSetStream_v2(handle, stream), "cublasSetStream");
        Check(CudaBlasNativeMethods.cublasGemmEx(handle, Operation.Transpose, Operation.NonTranspose, n, m, k,
            (nint)(&one), b, cudaDataType.CUDA_R_16BF, ldb, a, cudaDataType.CUDA_R_16BF, lda, (nint)(&zero), c,
            cudaDataType.CUDA_R_32F, ldc, ComputeType.Compute32F, GemmAlgo.Default), "cublasGemmEx");
    }

    static void Check(CublasStatus status, string call)
    {
        if (status != CublasStatus.Success) throw CudaException.OfCublas((int)status, call);
    }

    public void Dispose() => CudaBlasNativeMethods.cublasDestroy_v2(handle);
}
