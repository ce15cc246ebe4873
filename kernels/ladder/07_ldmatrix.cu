// ldmatrix and an XOR swizzle: one instruction loads four 8 x 8 matrices in the order of mma's operands, and no two of
// the rows that it reads share a bank.
#include "ladder.cuh"

// One step of K of an operand into a swizzled stage, 16 bytes a thread through registers.
__device__ __forceinline__ void swizzled_stage(const bf16_bits* from, int first, int end, int ld, int k,
                                               bf16_bits* to) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const int r = threadIdx.x / 4 + 64 * i, chunk = threadIdx.x % 4;
        *reinterpret_cast<uint4*>(to + swizzled(r, chunk)) =
            first + r < end ? *reinterpret_cast<const uint4*>(from + int64_t(first + r) * ld + k + chunk * 8)
                : make_uint4(0, 0, 0, 0);
    }
}

// ladder_ldmatrix
//   in     x [B, ld] bf16, w [n, ld] bf16, bias [n] f32
//   out    c [B, n] f32
//   launch grid ceil(B / 128) * ceil(n / 128), block 256, shared sizeof(LadderStage) = 16384
//   needs  ld % 32 == 0, 16-byte aligned rows
//   order  K ascending, 16 an instruction
SAE_KERNEL(ladder_ldmatrix, LadderParams, LADDER_THREADS) {
    auto& s = shared_memory<LadderStage>();
    const LadderTile at = ladder_tile(p);
    WarpSums sums = {};
    for (int k = 0; k < p.ld; k += LADDER_K) {
        swizzled_stage(p.x, at.row, p.rows, p.ld, k, s.x);
        swizzled_stage(p.w, at.column, p.columns, p.ld, k, s.w);
        __syncthreads();
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            WarpFragments f;
            warp_load(s, half, f);
            warp_mma(f, sums);
        }
        __syncthreads();
    }
    warp_store(p, at, sums);
}
