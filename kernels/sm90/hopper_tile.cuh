// The Hopper twin of mma_tile.cuh: blocks of three warpgroups work through tiles of 128 x 256 of A Bᵀ.
//   Warpgroup 0 brings: one thread issues TMA loads of 128 rows of A and 256 of B, a line of 128 bytes of K at a time, through 4 stages of 48 KB; other
//   warps bring what belongs to the tile's columns. Warpgroups 1 and 2 multiply 64 rows each: wgmma m64n256, 128 sums a thread, one group of products in flight.
//   A cluster of two blocks has two tiles of rows and one of columns: each loads half of B and gives it to both.
// A line is 64 bf16 numbers, whose sums are float, or 128 signed 8-bit ones, whose sums are int: the same bytes through the same stages in the same time.
// A stage is full when its 48 KB have come, and empty when the 8 warps of every block that reads it have left it. Both kinds of barriers live in
// shared memory, at the same place in every block of the cluster.
#pragma once
#include "../mma_tile.cuh"
#include "ptx.cuh"

constexpr int HOPPER_ROWS = 128;
constexpr int HOPPER_COLUMNS = 256;
constexpr int HOPPER_LINE = 128;            // bytes of K a step: a line of the swizzle
constexpr int HOPPER_K = 64;                // bf16 numbers of a line
constexpr int HOPPER_BOX = 128;             // rows of a TMA box
constexpr int HOPPER_STAGES = 4;
constexpr int HOPPER_THREADS = 384;
constexpr int HOPPER_CONSUMERS = 256;
constexpr int HOPPER_BYTES = (HOPPER_ROWS + HOPPER_COLUMNS) * HOPPER_LINE;

// What the loads, the products and their barriers need; a kernel's own shared memory lies behind it.
struct HopperStages {
    unsigned char a[HOPPER_STAGES][HOPPER_ROWS * HOPPER_LINE];      // each 1024-byte aligned, as the swizzle wants it
    unsigned char b[HOPPER_STAGES][HOPPER_COLUMNS * HOPPER_LINE];
    uint64_t full[HOPPER_STAGES], empty[HOPPER_STAGES];
    uint64_t columns_full[2], columns_empty[2];
};

struct HopperShared : HopperStages {
    float slots[HOPPER_CONSUMERS][20];      // room for 16 values of a thread; 80 bytes apart, so that a warp's stores meet no bank twice
    float bias[2][HOPPER_COLUMNS];          // of this tile's columns and the next's
    float low[2][HOPPER_COLUMNS];
};
constexpr int encode_sm90_shared_bytes() { return sizeof(HopperShared); }

// Place in a ring of `size`: its parity turns with every round.
template <int size> struct HopperTurn {
    int place = 0;
    uint32_t parity = 0;
    __device__ __forceinline__ void advance() {
        if (++place < size) return;
        place = 0;
        parity ^= 1;
    }
};

// What there is to do, the same for every warp of a cluster.
struct HopperWork {
    int rows, begin, end;       // rows [0, rows), columns [begin, end)
    int steps;                  // lines along K
    int cluster, skew;
    const int* only;            // [row tiles] 0: no work there; null: all
};

// each(first row of this block's tile, first column), for every tile of this cluster, in the same order on all threads.
template <typename Each> __device__ __forceinline__ void hopper_tiles(const HopperWork& w, Each each) {
    const int row_tiles = (w.rows + HOPPER_ROWS - 1) / HOPPER_ROWS, units = (row_tiles + w.cluster - 1) / w.cluster;
    const int columns = (w.end - w.begin + HOPPER_COLUMNS - 1) / HOPPER_COLUMNS, clusters = int(gridDim.x) / w.cluster;
#pragma unroll 1
    for (int unit = blockIdx.x / w.cluster; unit < units * columns; unit += clusters) {
        const TilePosition at = tile_position(unit, units, columns, 32 / w.cluster);
        const int row_tile = at.row * w.cluster;
        if (w.only && !w.only[row_tile] && !(row_tile + 1 < row_tiles && w.cluster == 2 && w.only[row_tile + 1])) continue;
        each((row_tile + int(blockIdx.x) % w.cluster) * HOPPER_ROWS, w.begin + at.column * HOPPER_COLUMNS);
    }
}

// By all threads, first. bringing: threads that bring what belongs to the columns.
__device__ __forceinline__ void hopper_start(HopperStages& s, int cluster, int bringing = 32) {
    if (threadIdx.x == 0) {
        for (int i = 0; i < HOPPER_STAGES; ++i) {
            mbarrier_init(&s.full[i], 1);
            mbarrier_init(&s.empty[i], HOPPER_CONSUMERS / 32 * cluster);
        }
        for (int i = 0; i < 2; ++i) {
            mbarrier_init(&s.columns_full[i], bringing);
            mbarrier_init(&s.columns_empty[i], HOPPER_CONSUMERS);
        }
        mbarrier_init_fence();
    }
    if (cluster > 1) cluster_sync();
    else __syncthreads();
}

// By all threads, last: keeps the block resident until its cluster peers have stopped accessing its shared memory.
__device__ __forceinline__ void hopper_finish(int cluster) {
    __syncwarp();
    if (cluster > 1) cluster_sync();
}

// One thread: both operands of every tile, `numbers` to a line.
__device__ __forceinline__ void hopper_load(HopperStages& s, const HopperWork& w, const TensorMap* a, const TensorMap* b, int numbers) {
    const uint32_t rank = w.cluster > 1 ? cluster_rank() : 0;
    HopperTurn<HOPPER_STAGES> turn;
    tma_prefetch(a);
    tma_prefetch(b);
    hopper_tiles(w, [&](int row_begin, int begin) {
#pragma unroll 1
        for (int step = 0; step < w.steps; ++step, turn.advance()) {
            uint64_t* full = &s.full[turn.place];
            unsigned char* columns = s.b[turn.place];
            mbarrier_wait(&s.empty[turn.place], turn.parity ^ 1);
            mbarrier_arrive_expect(full, HOPPER_BYTES);
            tma_load(s.a[turn.place], a, full, step * numbers, row_begin);
            if (w.cluster > 1) tma_load_multicast(columns + rank * HOPPER_BOX * HOPPER_LINE, b, full, step * numbers, begin + rank * HOPPER_BOX, 3);
            else {
                tma_load(columns, b, full, step * numbers, begin);
                tma_load(columns + HOPPER_BOX * HOPPER_LINE, b, full, step * numbers, begin + HOPPER_BOX);
            }
        }
    });
}

// The threads that bring: bring(place, first row, first column) for every tile, into a place that consumers have left.
template <typename Bring> __device__ __forceinline__ void hopper_bring(HopperStages& s, const HopperWork& w, Bring bring) {
    HopperTurn<2> turn;
    hopper_tiles(w, [&](int row_begin, int begin) {
        mbarrier_wait(&s.columns_empty[turn.place], turn.parity ^ 1);
        bring(turn.place, row_begin, begin);
        mbarrier_arrive(&s.columns_full[turn.place]);
        turn.advance();
    });
}

// One warp: bring(column, bias, low) for every column of every tile.
template <typename Bring> __device__ __forceinline__ void hopper_bring_columns(HopperShared& s, const HopperWork& w, Bring bring) {
    hopper_bring(s, w, [&](int place, int, int begin) {
#pragma unroll
        for (int i = threadIdx.x % 32; i < HOPPER_COLUMNS; i += 32) bring(begin + i, s.bias[place][i], s.low[place][i]);
    });
}

// A thread's sums of its warpgroup's 64 x 256: element 4 j + 2 upper + i is tile row hopper_row(upper), tile column 8 j + hopper_column() + i.
template <typename Sum> using HopperSumsOf = Sum[128];
using HopperSums = HopperSumsOf<float>;

__device__ __forceinline__ int hopper_part() { return int(threadIdx.x) / 128 - 1; }       // of a consumer: 0 or 1
__device__ __forceinline__ int hopper_row(int upper) { return hopper_part() * 64 + threadIdx.x % 128 / 32 * 16 + upper * 8 + threadIdx.x % 32 / 4; }
__device__ __forceinline__ int hopper_column() { return threadIdx.x % 4 * 2; }

constexpr int HOPPER_SKEW_BARRIER = 1;

// This warp has left a stage: said to every block whose loads fill it.
__device__ __forceinline__ void hopper_release(uint64_t* empty, int cluster) {
    const int lane = threadIdx.x % 32;
    if (cluster > 1) {
        if (lane < cluster) mbarrier_arrive_at(empty, lane);
    } else if (lane == 0) mbarrier_arrive(empty);
}

// 32 bytes of K.
__device__ __forceinline__ void hopper_product(HopperSums& sums, uint64_t a, uint64_t b) { wgmma_m64n256k16(sums, a, b); }
__device__ __forceinline__ void hopper_product(HopperSumsOf<int>& sums, uint64_t a, uint64_t b) { wgmma_m64n256k32(sums, a, b); }

// sums += A Bᵀ of the next tile; both consumer warpgroups.
// With a skew the second starts when the first is that many steps ahead: from then on each multiplies while the other filters. Only for more steps than
// stages, because then the first cannot come to its next tile before the second has come to this one, and one named barrier serves all tiles.
template <typename Sum>
__device__ __forceinline__ void hopper_multiply(HopperStages& s, const HopperWork& w, HopperTurn<HOPPER_STAGES>& turn, Sum (&sums)[128]) {
    // By the exchange the compiler knows that all lanes have one number: the descriptors stay in uniform registers.
    const int part = __shfl_sync(0xffffffffu, hopper_part(), 0);
    const bool skewed = w.skew > 0 && w.steps > HOPPER_STAGES;
    if (skewed && part == 1) named_barrier_sync(HOPPER_SKEW_BARRIER, HOPPER_CONSUMERS);
    int left = -1;
#pragma unroll 1
    for (int step = 0; step < w.steps; ++step, turn.advance()) {
        mbarrier_wait(&s.full[turn.place], turn.parity);
        wgmma_hold(sums);
        wgmma_fence();
        const uint64_t a = wgmma_tile(s.a[turn.place] + part * 64 * HOPPER_LINE), b = wgmma_tile(s.b[turn.place]);
#pragma unroll
        for (int k = 0; k < HOPPER_LINE / 32; ++k) hopper_product(sums, a + 2 * k, b + 2 * k);
        wgmma_commit();
        if (skewed && part == 0 && step + 1 == w.skew) named_barrier_arrive(HOPPER_SKEW_BARRIER, HOPPER_CONSUMERS);
        wgmma_wait<1>();
        if (left >= 0) hopper_release(&s.empty[left], w.cluster);
        left = turn.place;
    }
    wgmma_wait<0>();
    wgmma_hold(sums);
    hopper_release(&s.empty[left], w.cluster);
}
