// Tensor cores: mma.sync multiplies 16 x 8 x 16 an instruction, 2,048 products where a warp's fused multiply-adds make
// 32. Its operands come from shared memory 4 bytes at a time.
#include "ladder.cuh"

// One step of K of an operand in its layout in memory, 16 bytes a thread through registers.
__device__ __forceinline__ void plain_stage(const bf16_bits* from, int first, int end, int ld, int k,
                                            bf16_bits* to) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const int r = threadIdx.x / 4 + 64 * i, chunk = threadIdx.x % 4;
        *reinterpret_cast<uint4*>(to + r * LADDER_K + chunk * 8) =
            first + r < end ? *reinterpret_cast<const uint4*>(from + int64_t(first + r) * ld + k + chunk * 8)
                : make_uint4(0, 0, 0, 0);
    }
}

__device__ __forceinline__ uint32_t pair_at(const bf16_bits* stage, int row, int k) {
    return *reinterpret_cast<const uint32_t*>(stage + row * LADDER_K + k);
}

// Half (0 or 1) of a step of K, pair by pair. Lane maps: PTX ISA, operands of mma.m16n8k16.
__device__ __forceinline__ void scalar_load(const LadderStage& s, int half, WarpFragments& f) {
    const int lane = threadIdx.x % 32, k = half * 16 + lane % 4 * 2;
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
        for (int i = 0; i < 4; ++i) f.x[m][i] = pair_at(s.x, warp_row() + m * 16 + i % 2 * 8 + lane / 4, k + i / 2 * 8);
#pragma unroll
    for (int n = 0; n < 4; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i)
            f.w[n][i] = pair_at(s.w, warp_column() + n * 16 + i / 2 * 8 + lane / 4, k + i % 2 * 8);
}

// ladder_tensor_cores
//   in     x [B, ld] bf16, w [n, ld] bf16, bias [n] f32
//   out    c [B, n] f32
//   launch grid ceil(B / 128) * ceil(n / 128), block 256, shared sizeof(LadderStage) = 16384
//   needs  ld % 32 == 0, 16-byte aligned rows
//   order  K ascending, 16 an instruction
SAE_KERNEL(ladder_tensor_cores, LadderParams, LADDER_THREADS) {
    auto& s = shared_memory<LadderStage>();
    const LadderTile at = ladder_tile(p);
    WarpSums sums = {};
    for (int k = 0; k < p.ld; k += LADDER_K) {
        plain_stage(p.x, at.row, p.rows, p.ld, k, s.x);
        plain_stage(p.w, at.column, p.columns, p.ld, k, s.w);
        __syncthreads();
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            WarpFragments f;
            scalar_load(s, half, f);
            warp_mma(f, sums);
        }
        __syncthreads();
    }
    warp_store(p, at, sums);
}
