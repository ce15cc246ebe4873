// product: dense products of any layout on tensor cores, for the dense path and the auxiliary losses. Extents may be
// known on the device only; blocks beyond them return.
//
// Float32 quality from bfloat16 products: an f32 operand x is split into hi = bf16(x) and lo = bf16(x - hi) on its way
// into shared memory, with an error of at most 2^-17 |x|. C is hi hi + hi lo + lo hi, summed in f32. The error of a
// product a b is at most 2^-17 |a b| where one operand is f32, and 2^-15 |a b| where both are (2^-16 of it lo lo). bf16
// operands are exact and need no second part. Beyond 3.38e38 hi becomes infinite, and an infinite x gives NaN.
//
// An operand has the same layout in shared memory as in global memory, K contiguous or not, and ldmatrix transposes it
// where needed; single elements are never moved.
#include "product_operand.cuh"

// [stage][hi, lo]; B has one part where it is bf16.
template <int b_parts> struct ProductShared {
    bf16_bits a[2][2][TILE * TILE_K];
    bf16_bits b[2][b_parts][TILE * TILE_K];
};
constexpr int product_shared_bytes() { return sizeof(ProductShared<1>); }
constexpr int product_f32_shared_bytes() { return sizeof(ProductShared<2>); }

// 64 rows of half a step (16 k) as fragments: 16 x 16 blocks of A, or of B in pairs of eight columns. (i, k): the first
// element of this lane's row of ldmatrix.
__device__ __forceinline__ void product_fragments(const bf16_bits* part, bool along_k, int i, int k,
                                                  uint32_t (&f)[4][4]) {
    const int row = threadIdx.x % 8;
    if (along_k) {
#pragma unroll
        for (int b = 0; b < 4; ++b) ldmatrix_x4(f[b], part + tile_place(true, i + 16 * b + row, k));
    } else {
#pragma unroll
        for (int b = 0; b < 4; ++b) ldmatrix_x4_trans(f[b], part + tile_place(false, i + 16 * b, k + row));
    }
}

// Multiplies 16 k. The sums take lo hi, then hi hi, then hi lo: in that order fragments are loaded once.
template <int b_parts>
__device__ __forceinline__ void product_half(const ProductOperand& a, const ProductOperand& b,
                                             const bf16_bits (&a_part)[2][TILE * TILE_K],
                                             const bf16_bits (&b_part)[b_parts][TILE * TILE_K], int half,
                                             TileSums& sums) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int a_i = warp % 2 * 64 + lane / 8 % 2 * 8, a_k = half + lane / 16 * 8, b_i = warp / 2 * 64 + lane / 16 * 8;
    const int b_k = half + lane / 8 % 2 * 8;
    TileFragments f;
    product_fragments(b_part[0], b.along_k, b_i, b_k, f.b);
    if (!a.bf16) {
        product_fragments(a_part[1], a.along_k, a_i, a_k, f.a);
        tile_mma(f, sums);
    }
    product_fragments(a_part[0], a.along_k, a_i, a_k, f.a);
    tile_mma(f, sums);
    if (b_parts == 1 || b.bf16) return;
    product_fragments(b_part[b_parts - 1], b.along_k, b_i, b_k, f.b);
    tile_mma(f, sums);
}

struct ProductExtents { int m, n, k; };

__device__ __forceinline__ ProductExtents product_extents(const ProductParams& p) {
    return {p.m_count ? *p.m_count : p.m, p.n_count ? *p.n_count : p.n, p.k_count ? *p.k_count : p.k};
}

// The block's tile, or a row of -1 where the block has none.
__device__ __forceinline__ TilePosition product_tile(const ProductExtents& e) {
    const int row_tiles = (e.m + TILE - 1) / TILE, column_tiles = (e.n + TILE - 1) / TILE;
    if (int(blockIdx.x) >= row_tiles * column_tiles) return {-1, -1};
    return tile_position(blockIdx.x, row_tiles, column_tiles);
}

__device__ __forceinline__ float finish_product(const ProductParams& p, float sum, size_t at, float scale) {
    const float mask = p.mask ? p.mask[at] : 1;
    if (mask == 0) return 0;
    return scale * ((sum + (p.add ? p.add[at] : 0)) * (p.mask_factor ? mask : 1));
}

// C = scale mask(sums + add).
__device__ __forceinline__ void store_product(const ProductParams& p, const ProductExtents& e, TilePosition tile,
                                              const TileSums& sums) {
    const float scale = p.scale ? *p.scale : 1;
    const bool pairs = p.c_stride % 2 == 0 && reinterpret_cast<uintptr_t>(p.c) % 8 == 0;
#pragma unroll
    for (int m = 0; m < 4; ++m)
#pragma unroll
        for (int row_half = 0; row_half < 2; ++row_half) {
            const int row = tile.row * TILE + tile_row(m, row_half);
            if (row >= e.m) continue;
#pragma unroll
            for (int n = 0; n < 8; ++n) {
                const int column = tile.column * TILE + tile_column(n);
                if (column >= e.n) continue;
                const size_t at = size_t(row) * p.c_stride + column;
                const float first = finish_product(p, sums[m][n][row_half * 2], at, scale);
                if (column + 1 == e.n) { p.c[at] = first; continue; }
                const float second = finish_product(p, sums[m][n][row_half * 2 + 1], at + 1, scale);
                if (pairs) *reinterpret_cast<float2*>(p.c + at) = make_float2(first, second);
                else { p.c[at] = first; p.c[at + 1] = second; }
            }
        }
}

// Two stages: while the tensor cores use one, a bf16 B is copied into the other. A is loaded into registers during the
// first half of the step and split and stored after it. An f32 B is loaded in the second half, through the same
// registers.
template <int b_parts> __device__ __forceinline__ void product_body(const ProductParams& p) {
    auto& s = shared_memory<ProductShared<b_parts>>();
    const ProductExtents e = product_extents(p);
    const TilePosition tile = product_tile(e);
    if (tile.row < 0) return;
    const ProductOperand a = product_operand(p.a, p.a_bf16, nullptr, nullptr, p.a_m, p.a_k, tile.row * TILE, e.m, e.k);
    const int* n_list = b_parts == 1 && p.b_gather == GatherCode::N ? p.b_rows : nullptr;
    const int* k_list = b_parts == 1 && p.b_gather == GatherCode::K ? p.b_rows : nullptr;
    const ProductOperand b = product_operand(p.b, p.b_bf16, n_list, k_list, p.b_n, p.b_k, tile.column * TILE, e.n, e.k);
    TileSums sums = {};
    Staged staged;
    const int steps = (e.k + TILE_K - 1) / TILE_K;
#pragma unroll 1
    for (int step = -1; step < steps; ++step) {
        const int now = step & 1, ahead = (step + 1) * TILE_K;
        const bool more = step + 1 < steps;
        if (more) {
            if constexpr (b_parts == 1) copy_chunks(b, ahead, s.b[now ^ 1][0]);
            load_staged(a, ahead, staged);
        }
        cp_async_commit();
        if (step >= 0) product_half(a, b, s.a[now], s.b[now], 0, sums);
        if (more) {
            store_staged(a, staged, s.a[now ^ 1]);
            if constexpr (b_parts == 2) load_staged(b, ahead, staged);
        }
        if (step >= 0) product_half(a, b, s.a[now], s.b[now], 16, sums);
        if constexpr (b_parts == 2)
            if (more) store_staged(b, staged, s.b[now ^ 1]);
        cp_async_wait<0>();
        __syncthreads();
    }
    store_product(p, e, tile, sums);
}

// product
//   in      A [m, k] f32 or bf16 and B [k, n] bf16, of any strides, B's rows through a list where it gathers weights
//   out     C = scale mask(A B + add); add may be C itself
//   launch  grid ceil(m / 128) * ceil(n / 128), block 128, shared sizeof(ProductShared<1>) = 49152
//   needs   for 16-byte loads: aligned operands whose other stride is a multiple of 16 bytes, without a list along the
//           contiguous side; else elements are loaded one by one, slowly
//   cost    4 m n k flops (A bf16: 2); bound by the tensor cores, or by shared memory on sm_90
//   order   k ascending in steps of 16, in a step lo hi, hi hi, hi lo; an element does not depend on its position in
//           the tile
SAE_KERNEL(product, ProductParams, PRODUCT_THREADS) { product_body<1>(p); }

// product_f32
//   in      as product, with B f32 or bf16, without a list
//   launch  as product, shared sizeof(ProductShared<2>) = 65536
//   cost    6 m n k flops
SAE_KERNEL(product_f32, ProductParams, PRODUCT_THREADS) { product_body<2>(p); }

// product_bf16
//   in      A [m, k] and B [k, n] bf16, K contiguous in both; B's columns through a list where b_gather is N
//   out     as product
//   launch  grid as product, block 128, shared sizeof(TileShared) = 65536
//   needs   k a multiple of 32 that is known on the host; strides multiples of 8; 16-byte aligned
//   cost    2 m n k flops; bound as encode
SAE_KERNEL(product_bf16, ProductParams, TILE_THREADS) {
    auto& s = shared_memory<TileShared>();
    const ProductExtents e = product_extents(p);
    const TilePosition tile = product_tile(e);
    if (tile.row < 0) return;
    TileSums sums = {};
    tile_multiply({static_cast<const bf16_bits*>(p.a), p.a_m, nullptr, tile.row * TILE, e.m},
                  {static_cast<const bf16_bits*>(p.b), p.b_n, p.b_gather == GatherCode::N ? p.b_rows : nullptr,
                   tile.column * TILE, e.n}, p.k, s, sums);
    store_product(p, e, tile, sums);
}
