// The operands of product.cu on their way into shared memory: layouts, extents, lists, and the split of float32.
#pragma once
#include "mma_tile.cuh"

constexpr int PRODUCT_THREADS = TILE_THREADS;   // 4 warps as 2 x 2, a warp owns 64 x 64, as in mma_tile.cuh

// One operand of a block: i in [first, end) is m of A or n of B, k in [0, depth).
struct ProductOperand {
    const void* data;
    const int* i_list;          // rows behind i or k, or null
    const int* k_list;
    int64_t i_stride, k_stride; // elements
    int first, end, depth;
    bool bf16;
    bool along_k;               // whether chunks, and rows of the tile, run along k
    bool whole;                 // whether a chunk is one aligned piece of memory
};

__device__ __forceinline__ ProductOperand product_operand(const void* data, bool bf16, const int* i_list,
                                                          const int* k_list, int64_t i_stride, int64_t k_stride,
                                                          int first, int end, int depth) {
    const bool along_k = k_stride == 1 && (i_stride != 1 || !k_list);
    const int64_t unit = bf16 ? 8 : 4;      // elements in 16 bytes
    const bool straight = along_k ? !k_list && i_stride % unit == 0 : i_stride == 1 && !i_list && k_stride % unit == 0;
    return {data, i_list, k_list, i_stride, k_stride, first, end, depth, bf16, along_k,
            straight && reinterpret_cast<uintptr_t>(data) % 16 == 0};
}

__device__ __forceinline__ int64_t product_offset(const ProductOperand& o, int i, int k) {
    return (o.i_list ? o.i_list[i] : i) * o.i_stride + (o.k_list ? o.k_list[k] : k) * o.k_stride;
}

// The number of elements that exist in the chunk of `size` at (i, k).
__device__ __forceinline__ int product_room(const ProductOperand& o, int i, int k, int size) {
    if (i >= o.end || k >= o.depth) return 0;
    return min(size, o.along_k ? o.depth - k : o.end - i);
}

__device__ __forceinline__ int64_t chunk_offset(const ProductOperand& o, int i, int k, int element) {
    return product_offset(o, o.along_k ? i : i + element, o.along_k ? k + element : k);
}

// The position of (i, k) in a tile. Along k: rows of 32, as in mma_tile.cuh; else rows of 128 with chunk c of row k at
// c ^ k % 8. Either way the 8 rows of an ldmatrix access 8 different chunks of 128 bytes.
__device__ __forceinline__ int tile_place(bool along_k, int i, int k) {
    return along_k ? i * TILE_K + ((k / 8) ^ (i / 2 % 4)) * 8 + k % 8 : k * TILE + ((i / 8) ^ (k % 8)) * 8 + i % 8;
}

// A thread's chunks of `size` elements: the first, and the distance from one to the next. Neighbouring threads take
// neighbouring chunks.
struct ProductChunks { int i, k, i_step, k_step; };

template <int size> __device__ __forceinline__ ProductChunks product_chunks(const ProductOperand& o) {
    constexpr int k_chunks = TILE_K / size, i_chunks = TILE / size;
    const int t = threadIdx.x;
    return o.along_k ? ProductChunks{t / k_chunks, t % k_chunks * size, PRODUCT_THREADS / k_chunks, 0}
        : ProductChunks{t % i_chunks * size, t / i_chunks, 0, PRODUCT_THREADS / i_chunks};
}

// Whether every element of this step of the tile exists and chunks are loaded whole.
__device__ __forceinline__ bool product_inside(const ProductOperand& o, int k0) {
    return o.whole && o.first + TILE <= o.end && k0 + TILE_K <= o.depth;
}

// ---------------------------------------------------------------------------------------------------------------------
// f32 operands through registers: loaded before the products of a step, split and stored after them

struct Staged { float4 chunk[8]; };         // 32 elements of a thread

__device__ __forceinline__ float product_element(const ProductOperand& o, int64_t at) {
    return o.bf16 ? bf16_to_float(static_cast<const bf16_bits*>(o.data)[at]) : static_cast<const float*>(o.data)[at];
}

// Four neighbouring elements.
__device__ __forceinline__ float4 load_whole(const ProductOperand& o, int64_t at) {
    if (!o.bf16) return *reinterpret_cast<const float4*>(static_cast<const float*>(o.data) + at);
    const uint2 pairs = *reinterpret_cast<const uint2*>(static_cast<const bf16_bits*>(o.data) + at);
    return make_float4(__uint_as_float(pairs.x << 16), __uint_as_float(pairs.x & 0xffff0000u),
                       __uint_as_float(pairs.y << 16), __uint_as_float(pairs.y & 0xffff0000u));
}

__device__ __forceinline__ float4 load_chunk(const ProductOperand& o, int i, int k) {
    const int room = product_room(o, i, k, 4);
    if (o.whole && room == 4) return load_whole(o, product_offset(o, i, k));
    float4 v = make_float4(0, 0, 0, 0);
    if (room > 0) v.x = product_element(o, chunk_offset(o, i, k, 0));
    if (room > 1) v.y = product_element(o, chunk_offset(o, i, k, 1));
    if (room > 2) v.z = product_element(o, chunk_offset(o, i, k, 2));
    if (room > 3) v.w = product_element(o, chunk_offset(o, i, k, 3));
    return v;
}

__device__ __forceinline__ void load_staged(const ProductOperand& o, int k0, Staged& staged) {
    const ProductChunks c = product_chunks<4>(o);
    const int i = o.first + c.i, k = k0 + c.k;
    if (product_inside(o, k0) && !o.i_list && !o.k_list) {
        const int64_t from = product_offset(o, i, k), step = c.i_step * o.i_stride + c.k_step * o.k_stride;
#pragma unroll
        for (int j = 0; j < 8; ++j) staged.chunk[j] = load_whole(o, from + j * step);
        return;
    }
#pragma unroll
    for (int j = 0; j < 8; ++j) staged.chunk[j] = load_chunk(o, i + j * c.i_step, k + j * c.k_step);
}

// Splits two numbers into hi and the remainder lo.
__device__ __forceinline__ void split_pair(float x, float y, uint32_t& hi, uint32_t& lo) {
    hi = bf16_pair(x, y);
    lo = bf16_pair(x - __uint_as_float(hi << 16), y - __uint_as_float(hi & 0xffff0000u));
}

__device__ __forceinline__ void store_staged(const ProductOperand& o, const Staged& staged,
                                             bf16_bits (&parts)[2][TILE * TILE_K]) {
    // From chunk to chunk it is 16 rows of 32, or 4 rows of 128, whose swizzle differs by 4 chunks.
    const ProductChunks c = product_chunks<4>(o);
    const int first = tile_place(o.along_k, c.i, c.k), second = o.along_k ? first : first ^ 32;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
        const int at = (j % 2 ? second : first) + j * 512;
        const float4 v = staged.chunk[j];
        uint2 hi, lo;
        split_pair(v.x, v.y, hi.x, lo.x);
        split_pair(v.z, v.w, hi.y, lo.y);
        *reinterpret_cast<uint2*>(parts[0] + at) = hi;
        if (!o.bf16) *reinterpret_cast<uint2*>(parts[1] + at) = lo;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// bf16 operands by asynchronous copies

__device__ __forceinline__ void copy_chunks(const ProductOperand& o, int k0, bf16_bits* part) {
    const auto from = static_cast<const bf16_bits*>(o.data);
    const ProductChunks c = product_chunks<8>(o);
    const int i = o.first + c.i, k = k0 + c.k;
    part += tile_place(o.along_k, c.i, c.k);                // from chunk to chunk 32 rows of 32, or 8 rows of 128
    if (product_inside(o, k0)) {
#pragma unroll
        for (int j = 0; j < 4; ++j)
            cp_async16(part + j * 1024, from + product_offset(o, i + j * c.i_step, k + j * c.k_step), 16);
        return;
    }
#pragma unroll 1
    for (int j = 0; j < 4; ++j) {
        const int ij = i + j * c.i_step, kj = k + j * c.k_step, room = product_room(o, ij, kj, 8);
        if (room == 0 || (o.whole && room == 8))
            cp_async16(part + j * 1024, room ? from + product_offset(o, ij, kj) : from, room ? 16 : 0);
        else
#pragma unroll 1
            for (int e = 0; e < 8; ++e) part[j * 1024 + e] = e < room ? from[chunk_offset(o, ij, kj, e)] : bf16_bits(0);
    }
}
