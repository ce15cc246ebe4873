// Every kernel file includes this header first. It has the kernel macro, shared memory, warp and block sums, bfloat16
// and counter-based random numbers. It compiles under nvcc and, with SAE_EMULATOR defined, under g++
// (kernels/emulator/emulator.h then supplies CUDA's names).
//
//   SAE_KERNEL(decode, DecodeParams, 256) { ... p.rows ... }
//
// declares extern "C" kernel `decode`, which takes one DecodeParams `p` by value and has at most 256 threads a block. A
// fourth argument limits the registers so that a multiprocessor holds at least that number of blocks.
// All shared memory is dynamic and laid out by a struct:  auto& s = shared_memory<DecodeShared>();
// A function NAME_shared_bytes beside the kernel states its size; build/border.sh generates it in C#.
// Static __shared__ variables, host code and <<<>>> do not occur in .cu files. PTX occurs in ptx.cuh, and once in this
// file.
#pragma once
#include "params.h"

#ifdef SAE_EMULATOR
#include "emulator/emulator.h"
#else
#include <cuda_runtime.h>

// Programmatic dependent launch: the next kernel may start on the device as soon as all blocks of this one have
// started. It waits here until all earlier work is done and visible. Without the launch attribute both instructions do
// nothing.
__device__ __forceinline__ void wait_for_previous_kernels() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents; griddepcontrol.wait;" ::: "memory");
#endif
}

#define SAE_KERNEL(name, Params, ...) \
    __device__ __forceinline__ void name##_body(const Params& p); \
    extern "C" __global__ void __launch_bounds__(__VA_ARGS__) name(const __grid_constant__ Params p) { \
        wait_for_previous_kernels(); \
        name##_body(p); \
    } \
    __device__ __forceinline__ void name##_body(const Params& p)

template <typename T> __device__ __forceinline__ T& shared_memory() {
    extern __shared__ __align__(1024) unsigned char sae_dynamic_shared[];
    return *reinterpret_cast<T*>(sae_dynamic_shared);
}
#endif

// ---------------------------------------------------------------------------------------------------------------------
// bfloat16 as its 16 bits

__device__ __forceinline__ float bf16_to_float(bf16_bits h) { return __uint_as_float(uint32_t(h) << 16); }

// Rounds to nearest, ties to even. NaN stays NaN.
__device__ __forceinline__ bf16_bits float_to_bf16(float f) {
    uint32_t u = __float_as_uint(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return bf16_bits((u >> 16) | 0x40);
    return bf16_bits((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}

// Splits float32: hi = the bits rounded half up to 16, lo = the remainder. The split is exact both ways; kernels
// multiply hi as bfloat16.
__device__ __forceinline__ void split_float(float f, bf16_bits& hi, int16_t& lo) {
    uint32_t u = __float_as_uint(f);
    hi = bf16_bits((u + 0x8000u) >> 16);
    lo = int16_t(u - (uint32_t(hi) << 16));
}
__device__ __forceinline__ float join_float(bf16_bits hi, int16_t lo) {
    return __uint_as_float((uint32_t(hi) << 16) + uint32_t(int32_t(lo)));
}

// ---------------------------------------------------------------------------------------------------------------------
// order

// Unsigned keys in the order of the floats. NaN is lowest, and -0 equals +0.
__device__ __forceinline__ uint32_t order_key(float f) {
    if (f != f) return 0;
    uint32_t u = __float_as_uint(f + 0.0f);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

// ---------------------------------------------------------------------------------------------------------------------
// counter-based random numbers: a function of (seed, step, row, column), never of thread or launch shape

__device__ __forceinline__ uint64_t mix64(uint64_t z) {     // splitmix64's finaliser (Steele, Lea, Flood 2014)
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}
__device__ __forceinline__ uint64_t counter_random(uint64_t seed, uint64_t step, uint64_t row, uint64_t column) {
    uint64_t z = mix64(seed + 0x9e3779b97f4a7c15ull * (step + 1));
    z = mix64(z ^ (row + 0x9e3779b97f4a7c15ull));
    return mix64(z + 0x9e3779b97f4a7c15ull * (column + 1));
}

// ---------------------------------------------------------------------------------------------------------------------
// sums in a fixed order

__device__ __forceinline__ float warp_sum(float v) {        // every lane gets the sum
    for (int offset = 16; offset > 0; offset >>= 1) v += __shfl_xor_sync(0xffffffffu, v, offset);
    return v;
}
__device__ __forceinline__ double warp_sum(double v) {
    for (int offset = 16; offset > 0; offset >>= 1) v += __shfl_xor_sync(0xffffffffu, v, offset);
    return v;
}
// Sum over the block, the same on every thread. scratch: one T a warp, in shared memory. All threads of the block must
// call it.
template <typename T> __device__ __forceinline__ T block_sum(T v, T* scratch) {
    v = warp_sum(v);
    int warps = (blockDim.x + 31) / 32;
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
    __syncthreads();
    T total = T(0);
    for (int w = 0; w < warps; ++w) total += scratch[w];
    return total;
}
// The shared memory of a block of 256 threads that shares nothing but its sums.
constexpr int block_sum_shared_bytes() { return 8 * sizeof(double); }
