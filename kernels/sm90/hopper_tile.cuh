// The Hopper version of mma_tile.cuh: blocks of three warpgroups compute tiles of 128 x 256 of A Bᵀ.
//   Warpgroup 0 is the producer. One of its threads issues the TMA loads: 128 rows of A and 256 of B, BLOCK_K = 128
//   bytes of K at a time, through a pipeline of 4 stages of 48 KB. Other warps produce the per-column data of a tile,
//   through a second pipeline of 2 stages.
//   Warpgroups 1 and 2 are the consumers. They multiply 64 rows each: wgmma m64n256, 128 sums a thread, one group of
//   products in flight.
//   A cluster of two blocks has two tiles of rows and one of columns. Each block loads half of B and multicasts it to
//   both.
//
// A block of K is 64 bf16 numbers, whose sums are float, or 128 signed 8-bit numbers, whose sums are int: the same
// bytes pass through the same stages in the same time.
//
// Each stage has a full barrier and an empty barrier. The full barrier completes its phase when the 48 KB of the stage
// have arrived. The empty barrier completes its phase when the 8 consumer warps of every block that reads the stage
// have released it. The barriers lie in shared memory, at the same offset in every block of the cluster.
//
//   producer:  wait empty[stage], phase ^ 1 -> expect 48 KB on full[stage] -> issue TMA -> advance
//   consumer:  wait full[stage], phase -> issue wgmma -> wait for the group before -> release its stage -> advance
#pragma once
#include "../mma_tile.cuh"
#include "ptx.cuh"

constexpr int HOPPER_BLOCK_M = 128;
constexpr int HOPPER_BLOCK_N = 256;
constexpr int HOPPER_BLOCK_K_BYTES = 128;   // bytes of K a stage: a line of the swizzle
constexpr int HOPPER_BLOCK_K = 64;          // BLOCK_K in bf16 numbers
constexpr int HOPPER_BOX = 128;             // rows of a TMA box
constexpr int HOPPER_STAGES = 4;
constexpr int HOPPER_THREADS = 384;
constexpr int HOPPER_CONSUMERS = 256;
constexpr int HOPPER_STAGE_BYTES = (HOPPER_BLOCK_M + HOPPER_BLOCK_N) * HOPPER_BLOCK_K_BYTES;

// The operands of the pipeline and all barriers. A kernel's other shared memory lies behind them.
struct HopperStages {
    // 1024-byte aligned, as the swizzle requires
    unsigned char a[HOPPER_STAGES][HOPPER_BLOCK_M * HOPPER_BLOCK_K_BYTES];
    unsigned char b[HOPPER_STAGES][HOPPER_BLOCK_N * HOPPER_BLOCK_K_BYTES];
    uint64_t full_barriers[HOPPER_STAGES], empty_barriers[HOPPER_STAGES];
    uint64_t column_full_barriers[2], column_empty_barriers[2];
};

struct HopperShared : HopperStages {
    // 16 values of a thread; 80 bytes apart, so that a warp's stores have no bank conflict
    float slots[HOPPER_CONSUMERS][20];
    float bias[2][HOPPER_BLOCK_N];          // of this tile's columns and the next's
    float floor[2][HOPPER_BLOCK_N];
};
constexpr int encode_sm90_shared_bytes() { return sizeof(HopperShared); }

// The position in a pipeline: the stage, and the phase of its barriers, which flips whenever the stages wrap around.
template <int stages> struct PipelineState {
    int stage_idx = 0;
    uint32_t phase = 0;
    __device__ __forceinline__ void advance() {
        if (++stage_idx < stages) return;
        stage_idx = 0;
        phase ^= 1;
    }
};

// The work of a launch, the same for every warp of a cluster.
struct HopperWork {
    int rows, begin, end;       // rows [0, rows), columns [begin, end)
    int k_blocks;               // blocks of K
    int cluster, skew;
    const int* only;            // [row tiles] 0: this tile has no work; null: all tiles have work
};

// Calls each(first row of this block's tile, first column) for every tile of this cluster, in the same order on all
// threads.
template <typename Each> __device__ __forceinline__ void hopper_for_each_tile(const HopperWork& w, Each each) {
    const int row_tiles = (w.rows + HOPPER_BLOCK_M - 1) / HOPPER_BLOCK_M;
    const int units = (row_tiles + w.cluster - 1) / w.cluster;
    const int columns = (w.end - w.begin + HOPPER_BLOCK_N - 1) / HOPPER_BLOCK_N, clusters = int(gridDim.x) / w.cluster;
#pragma unroll 1
    for (int unit = blockIdx.x / w.cluster; unit < units * columns; unit += clusters) {
        const TilePosition at = tile_position(unit, units, columns, 32 / w.cluster);
        const int row_tile = at.row * w.cluster;
        if (w.only && !w.only[row_tile] && !(row_tile + 1 < row_tiles && w.cluster == 2 && w.only[row_tile + 1]))
            continue;
        each((row_tile + int(blockIdx.x) % w.cluster) * HOPPER_BLOCK_M, w.begin + at.column * HOPPER_BLOCK_N);
    }
}

// Initialises the barriers. All threads call it, first. producers: threads that arrive at the column full barriers.
__device__ __forceinline__ void hopper_init_barriers(HopperStages& s, int cluster, int producers = 32) {
    if (threadIdx.x == 0) {
        for (int i = 0; i < HOPPER_STAGES; ++i) {
            mbarrier_init(&s.full_barriers[i], 1);
            mbarrier_init(&s.empty_barriers[i], HOPPER_CONSUMERS / 32 * cluster);
        }
        for (int i = 0; i < 2; ++i) {
            mbarrier_init(&s.column_full_barriers[i], producers);
            mbarrier_init(&s.column_empty_barriers[i], HOPPER_CONSUMERS);
        }
        mbarrier_init_fence();
    }
    if (cluster > 1) cluster_sync();
    else __syncthreads();
}

// All threads call it, last: it keeps the block resident until its cluster peers have stopped accessing its shared
// memory.
__device__ __forceinline__ void hopper_finish(int cluster) {
    __syncwarp();
    if (cluster > 1) cluster_sync();
}

// The TMA producer, one thread: loads both operands of every tile. block_k: BLOCK_K in elements.
__device__ __forceinline__ void hopper_load(HopperStages& s, const HopperWork& w, const TensorMap* a,
                                            const TensorMap* b, int block_k) {
    const uint32_t rank = w.cluster > 1 ? cluster_rank() : 0;
    PipelineState<HOPPER_STAGES> state;
    tma_prefetch(a);
    tma_prefetch(b);
    hopper_for_each_tile(w, [&](int row_begin, int begin) {
#pragma unroll 1
        for (int k_block = 0; k_block < w.k_blocks; ++k_block, state.advance()) {
            // Wait for consumer release.
            mbarrier_wait(&s.empty_barriers[state.stage_idx], state.phase ^ 1);
            // Issue TMA.
            uint64_t* full = &s.full_barriers[state.stage_idx];
            unsigned char* columns = s.b[state.stage_idx];
            mbarrier_arrive_expect(full, HOPPER_STAGE_BYTES);
            tma_load(s.a[state.stage_idx], a, full, k_block * block_k, row_begin);
            if (w.cluster > 1)
                tma_load_multicast(columns + rank * HOPPER_BOX * HOPPER_BLOCK_K_BYTES, b, full, k_block * block_k,
                                   begin + rank * HOPPER_BOX, 3);
            else {
                tma_load(columns, b, full, k_block * block_k, begin);
                tma_load(columns + HOPPER_BOX * HOPPER_BLOCK_K_BYTES, b, full, k_block * block_k, begin + HOPPER_BOX);
            }
        }
    });
}

// The column producers: produce(stage_idx, first row, first column) for every tile, into a stage that the consumers
// have released.
template <typename Produce>
__device__ __forceinline__ void hopper_produce(HopperStages& s, const HopperWork& w, Produce produce) {
    PipelineState<2> state;
    hopper_for_each_tile(w, [&](int row_begin, int begin) {
        // Wait for consumer release.
        mbarrier_wait(&s.column_empty_barriers[state.stage_idx], state.phase ^ 1);
        produce(state.stage_idx, row_begin, begin);
        mbarrier_arrive(&s.column_full_barriers[state.stage_idx]);
        state.advance();
    });
}

// The column producer of one warp: produce(column, bias, floor) for every column of every tile.
template <typename Produce>
__device__ __forceinline__ void hopper_produce_columns(HopperShared& s, const HopperWork& w, Produce produce) {
    hopper_produce(s, w, [&](int stage_idx, int, int begin) {
#pragma unroll
        for (int i = threadIdx.x % 32; i < HOPPER_BLOCK_N; i += 32)
            produce(begin + i, s.bias[stage_idx][i], s.floor[stage_idx][i]);
    });
}

// A thread's sums of its warpgroup's 64 x 256: element 4 j + 2 row_half + i is tile row hopper_row(row_half), tile
// column 8 j + hopper_column() + i. The accumulators d[] of wgmma.m64n256 lie as follows; an entry is lane.element.
// Warp w of the warpgroup has rows 16 w to 16 w + 15:
//
//   column     0      1     2      3     4      5     6      7     8      9    ...     255
//   row  0   0.d0   0.d1  1.d0   1.d1  2.d0   2.d1  3.d0   3.d1  0.d4   0.d5  ...  3.d125
//   row  1   4.d0   4.d1  5.d0   5.d1  6.d0   6.d1  7.d0   7.d1  4.d4   4.d5  ...  7.d125
//   ...
//   row  7  28.d0  28.d1 29.d0  29.d1 30.d0  30.d1 31.d0  31.d1 28.d4  28.d5  ... 31.d125
//   row  8   0.d2   0.d3  1.d2   1.d3  2.d2   2.d3  3.d2   3.d3  0.d6   0.d7  ...  3.d127
//   ...
//   row 15  28.d2  28.d3 29.d2  29.d3 30.d2  30.d3 31.d2  31.d3 28.d6  28.d7  ... 31.d127
template <typename Sum> using HopperSumsOf = Sum[128];
using HopperSums = HopperSumsOf<float>;

// The index of a consumer's warpgroup: 0 or 1.
__device__ __forceinline__ int consumer_warpgroup() { return int(threadIdx.x) / 128 - 1; }
__device__ __forceinline__ int hopper_row(int row_half) {
    return consumer_warpgroup() * 64 + threadIdx.x % 128 / 32 * 16 + row_half * 8 + threadIdx.x % 32 / 4;
}
__device__ __forceinline__ int hopper_column() { return threadIdx.x % 4 * 2; }

constexpr int HOPPER_SKEW_BARRIER = 1;

// Consumer release: this warp arrives at the empty barrier of a stage, in every block whose loads fill the stage.
__device__ __forceinline__ void hopper_release(uint64_t* empty, int cluster) {
    const int lane = threadIdx.x % 32;
    if (cluster > 1) {
        if (lane < cluster) mbarrier_arrive_at(empty, lane);
    } else if (lane == 0) mbarrier_arrive(empty);
}

// Multiplies 32 bytes of K.
__device__ __forceinline__ void hopper_product(HopperSums& sums, uint64_t a, uint64_t b) {
    wgmma_m64n256k16(sums, a, b);
}
__device__ __forceinline__ void hopper_product(HopperSumsOf<int>& sums, uint64_t a, uint64_t b) {
    wgmma_m64n256k32(sums, a, b);
}

// sums += A Bᵀ of the next tile. Both consumer warpgroups call it.
// With a skew the second warpgroup starts when the first is `skew` blocks of K ahead. From then on one multiplies while
// the other filters. This needs more blocks of K than stages: then the first warpgroup cannot start its next tile
// before the second has started this one, and one named barrier serves all tiles.
template <typename Sum>
__device__ __forceinline__ void hopper_multiply(HopperStages& s, const HopperWork& w,
                                                PipelineState<HOPPER_STAGES>& state, Sum (&sums)[128]) {
    // The shuffle tells the compiler that all lanes have one value, so the descriptors stay in uniform registers.
    const int warpgroup = __shfl_sync(0xffffffffu, consumer_warpgroup(), 0);
    const bool skewed = w.skew > 0 && w.k_blocks > HOPPER_STAGES;
    if (skewed && warpgroup == 1) named_barrier_sync(HOPPER_SKEW_BARRIER, HOPPER_CONSUMERS);
    int previous = -1;
#pragma unroll 1
    for (int k_block = 0; k_block < w.k_blocks; ++k_block, state.advance()) {
        // Wait for the TMA loads of this stage.
        mbarrier_wait(&s.full_barriers[state.stage_idx], state.phase);
        wgmma_hold(sums);
        wgmma_fence();
        const uint64_t a = wgmma_tile(s.a[state.stage_idx] + warpgroup * 64 * HOPPER_BLOCK_K_BYTES);
        const uint64_t b = wgmma_tile(s.b[state.stage_idx]);
#pragma unroll
        for (int k = 0; k < HOPPER_BLOCK_K_BYTES / 32; ++k) hopper_product(sums, a + 2 * k, b + 2 * k);
        wgmma_commit();
        if (skewed && warpgroup == 0 && k_block + 1 == w.skew)
            named_barrier_arrive(HOPPER_SKEW_BARRIER, HOPPER_CONSUMERS);
        // Wait for the products of the previous stage, and release it.
        wgmma_wait<1>();
        if (previous >= 0) hopper_release(&s.empty_barriers[previous], w.cluster);
        previous = state.stage_idx;
    }
    wgmma_wait<0>();
    wgmma_hold(sums);
    hopper_release(&s.empty_barriers[previous], w.cluster);
}
