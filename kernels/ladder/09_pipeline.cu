// A pipeline of four stages: three steps of K are being loaded while one is multiplied, which hides the latency of
// global memory behind the tensor cores.
#include "ladder.cuh"

constexpr int PIPELINE_STAGES = 4;

struct Pipeline { LadderStage stage[PIPELINE_STAGES]; };
constexpr int ladder_pipeline_shared_bytes() { return sizeof(Pipeline); }

__device__ __forceinline__ void pipeline_copy(const LadderParams& p, LadderTile at, int step, Pipeline& s) {
    if (step < p.ld / LADDER_K) {
        LadderStage& to = s.stage[step % PIPELINE_STAGES];
        copy_step(p.x, at.row, p.rows, p.ld, step * LADDER_K, to.x);
        copy_step(p.w, at.column, p.columns, p.ld, step * LADDER_K, to.w);
    }
    cp_async_commit();      // also when empty: the wait counts groups
}

// ladder_pipeline
//   in     x [B, ld] bf16, w [n, ld] bf16, bias [n] f32
//   out    c [B, n] f32
//   launch grid ceil(B / 128) * ceil(n / 128), block 256, shared sizeof(Pipeline) = 65536
//   needs  ld % 32 == 0, 16-byte aligned rows
//   order  K ascending, 16 an instruction
SAE_KERNEL(ladder_pipeline, LadderParams, LADDER_THREADS) {
    auto& s = shared_memory<Pipeline>();
    const LadderTile at = ladder_tile(p);
    WarpSums sums = {};
    for (int step = 0; step < PIPELINE_STAGES - 1; ++step) pipeline_copy(p, at, step, s);
#pragma unroll 1
    for (int step = 0; step < p.ld / LADDER_K; ++step) {
        cp_async_wait<PIPELINE_STAGES - 2>();
        // this step has arrived for every thread, and every warp has left the stage that is filled next
        __syncthreads();
        pipeline_copy(p, at, step + PIPELINE_STAGES - 1, s);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            WarpFragments f;
            warp_load(s.stage[step % PIPELINE_STAGES], half, f);
            warp_mma(f, sums);
        }
    }
    cp_async_wait<0>();
    warp_store(p, at, sums);
}
