// Products of 8 pairs of rows by mma and by wgmma, for TensorCoreTests. in [2, 8, 32] holds the left and the right
// rows, out [8] the product of each pair. K is 32: two instructions, of which the second adds to the sum of the
// first.
#include "sm90/ptx.cuh"

constexpr int PAIRS = 8, DEPTH = 32;

struct PairParams {
    const float* in;
    float* out;
    int unused;
};

// Lane maps: kernels/ptx.cuh. Rows 8 to 15 of the left operand are zeros.
SAE_KERNEL(pairs_mma, PairParams, 32) {
    const int row = threadIdx.x / 4, column = 2 * (threadIdx.x % 4);
    auto pair = [&](int matrix, int k) {
        const float* at = p.in + (matrix * PAIRS + row) * DEPTH + k + column;
        return bf16_pair(at[0], at[1]);
    };
    float sums[4] = {};
    for (int k = 0; k < DEPTH; k += 16) {
        const uint32_t left[4] = {pair(0, k), 0, pair(0, k + 8), 0};
        mma_bf16_16816(sums, left, pair(1, k), pair(1, k + 8));
    }
    for (int i = 0; i < 2; ++i)
        if (column + i == row) p.out[row] = sums[i];
}

struct alignas(1024) PairShared { bf16_bits a[64 * 64], b[PAIRS * 64]; };

SAE_KERNEL(pairs_wgmma, PairParams, 128) {
    auto& s = shared_memory<PairShared>();
    for (int i = threadIdx.x; i < 64 * DEPTH; i += 128) {
        const int row = i / DEPTH, k = i % DEPTH, at = row * 64 + ((k / 8) ^ (row % 8)) * 8 + k % 8;
        s.a[at] = row < PAIRS ? float_to_bf16(p.in[i]) : 0;
        if (row < PAIRS) s.b[at] = float_to_bf16(p.in[PAIRS * DEPTH + i]);
    }
    proxy_fence();
    __syncthreads();
    float sums[4] = {};
    wgmma_fence();
    for (int k = 0; k < DEPTH / 16; ++k) wgmma_k16<8>(sums, wgmma_tile(s.a) + 2 * k, wgmma_tile(s.b) + 2 * k);
    wgmma_commit();
    wgmma_wait<0>();
    const int row = threadIdx.x / 4, column = 2 * (threadIdx.x % 4);
    for (int i = 0; i < 2; ++i)
        if (threadIdx.x < 32 && column + i == row) p.out[row] = sums[i];
}
