// cp.async: data goes from global to shared memory without passing through registers, so all loads of a step are in
// flight at once.
#include "ladder.cuh"

// ladder_cp_async
//   in     x [B, ld] bf16, w [n, ld] bf16, bias [n] f32
//   out    c [B, n] f32
//   launch grid ceil(B / 128) * ceil(n / 128), block 256, shared sizeof(LadderStage) = 16384
//   needs  ld % 32 == 0, 16-byte aligned rows
//   order  K ascending, 16 an instruction
SAE_KERNEL(ladder_cp_async, LadderParams, LADDER_THREADS) {
    auto& s = shared_memory<LadderStage>();
    const LadderTile at = ladder_tile(p);
    WarpSums sums = {};
    for (int k = 0; k < p.ld; k += LADDER_K) {
        copy_step(p.x, at.row, p.rows, p.ld, k, s.x);
        copy_step(p.w, at.column, p.columns, p.ld, k, s.w);
        cp_async_commit();
        cp_async_wait<0>();
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
