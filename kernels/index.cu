// index: the code sorted by latent. For each latent it lists the entries (row k + slot) that hold the latent,
// ascending, the same on every schedule. Counting and scattering use integer atomics, whose result or set of results
// does not depend on order; ranks then fix the order.
// Launches: index_count, index_tiles, index_starts, index_scatter, index_sort. index_scatter leaves `count` zero for
// the next step.
#include "runs.cuh"
#include "scan.cuh"
#include "ticket.cuh"

constexpr int TILE = 2048, PER_THREAD = 8;

// Whether an entry has gradients: with a threshold all entries of a row, including those near the threshold; otherwise
// those that fired.
__device__ __forceinline__ bool entry_lives(const IndexParams& p, uint32_t e) {
    return p.row_count ? int(e % p.active) < p.row_count[e / p.active] : p.value[e] != 0;
}

// index_count: count[f] += 1 for every entry that has gradients
//   launch  grid any, block 256; count zero before
SAE_KERNEL(index_count, IndexParams, 256) {
    uint32_t entries = uint32_t(p.rows) * p.active;
    for (uint32_t e = blockIdx.x * blockDim.x + threadIdx.x; e < entries; e += gridDim.x * blockDim.x)
        if (entry_lives(p, e)) atomicAdd(p.count + p.index[e], 1u);
}

// The latents of each class in a part of a tile: 12 bits a class, enough for a tile.
struct ClassCounts {
    uint64_t low = 0, high = 0;         // classes 0 to 4, 5 to 8

    __device__ __forceinline__ void add(int c) {
        if (c < 5) low += 1ull << 12 * c; else high += 1ull << 12 * (c - 5);
    }
    __device__ __forceinline__ uint32_t of(int c) const {
        return uint32_t((c < 5 ? low >> 12 * c : high >> 12 * (c - 5)) & 4095);
    }
};

__device__ __forceinline__ int latent_class(const IndexParams& p, int f, uint32_t length) {
    return run_class(length, (p.aux_slot && p.aux_slot[f] >= 0) || (p.scalars && p.scalars[f].pre_act > 0));
}

struct IndexShared { uint64_t wide[8]; uint32_t narrow[8]; };
constexpr int index_shared_bytes() { return sizeof(IndexShared); }

// A thread's latents of the block's tile: the sizes of their runs, and the number of latents of each class.
struct ThreadLatents {
    int first, last;
    uint64_t sizes = 0;
    ClassCounts counts;

    __device__ __forceinline__ explicit ThreadLatents(const IndexParams& p)
        : first(blockIdx.x * TILE + threadIdx.x * PER_THREAD), last(min(first + PER_THREAD, p.latents)) {
        for (int f = first; f < last; ++f) {
            uint32_t length = p.count[f];
            sizes += run_size(length);
            counts.add(latent_class(p, f, length));
        }
    }
};

// index_tiles
//   in      count [n]
//   out     tile_sums, class_sums: the sums before each tile of 2048 latents; class_start
//   launch  grid tiles, block 256, shared index_shared_bytes(); the block that finishes last sums over tiles
SAE_KERNEL(index_tiles, IndexParams, 256) {
    auto& s = shared_memory<IndexShared>();
    const ThreadLatents mine(p);
    uint64_t total;
    ClassCounts all;
    exclusive_sum(mine.sizes, s.wide, total);
    exclusive_sum(mine.counts.low, s.wide, all.low);
    exclusive_sum(mine.counts.high, s.wide, all.high);
    if (threadIdx.x == 0) p.tile_sums[blockIdx.x] = total;
    if (threadIdx.x < RUN_CLASSES) p.class_sums[threadIdx.x * p.tiles + blockIdx.x] = all.of(threadIdx.x);
    if (!last_block(p.ticket, s.narrow)) return;
    total = sum_in_place(p.tile_sums, p.tiles, s.wide);
    sum_in_place(p.class_sums, RUN_CLASSES * p.tiles, s.narrow);
    __syncthreads();
    if (threadIdx.x == 0) p.tile_sums[p.tiles] = total;
    if (threadIdx.x < RUN_CLASSES)
        p.class_start[threadIdx.x] = static_cast<volatile uint32_t*>(p.class_sums)[threadIdx.x * p.tiles];
}

// index_starts
//   in      count, tile_sums, class_sums
//   out     start [n + 1]; order [n]
//   launch  grid tiles, block 256, shared index_shared_bytes()
SAE_KERNEL(index_starts, IndexParams, 256) {
    auto& s = shared_memory<IndexShared>();
    const ThreadLatents mine(p);
    uint64_t unused;
    ClassCounts before;
    uint64_t start = p.tile_sums[blockIdx.x] + exclusive_sum(mine.sizes, s.wide, unused);
    before.low = exclusive_sum(mine.counts.low, s.wide, unused);
    before.high = exclusive_sum(mine.counts.high, s.wide, unused);
    for (int f = mine.first; f < mine.last; ++f) {
        uint32_t length = p.count[f];
        int c = latent_class(p, f, length);
        p.order[p.class_sums[c * p.tiles + blockIdx.x] + before.of(c)] = f;
        before.add(c);
        p.start[f] = start;
        start += run_size(length);
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) p.start[p.latents] = p.tile_sums[p.tiles];
}

// index_scatter: unsorted runs; count becomes 0
//   launch  grid any, block 256
SAE_KERNEL(index_scatter, IndexParams, 256) {
    uint32_t entries = uint32_t(p.rows) * p.active;
    for (uint32_t e = blockIdx.x * blockDim.x + threadIdx.x; e < entries; e += gridDim.x * blockDim.x) {
        if (!entry_lives(p, e)) continue;
        int f = p.index[e];
        p.unsorted[run_entry(p.start[f]) + atomicAdd(p.count + f, 0xffffffffu) - 1] = e;
    }
}

// A run of up to 32 entries, by a warp: an entry's position is the number of smaller ones.
__device__ __forceinline__ void sort_short(const IndexParams& p, uint32_t start, int length) {
    int lane = threadIdx.x % 32, rank = 0;
    uint32_t mine = lane < length ? p.unsorted[start + lane] : 0xffffffffu;
    for (int other = 0; other < length; ++other) rank += __shfl_sync(0xffffffffu, mine, other) < mine;
    if (lane < length) p.entry[start + rank] = mine;
}

// A longer run, by a block. A row holds a latent at most once, so a bitmap of rows ranks the entries. bitmap: [2,
// words].
__device__ __forceinline__ void sort_long(const IndexParams& p, uint32_t start, int length, uint32_t* bitmap,
                                          uint32_t* scratch) {
    int words = (p.rows + 31) / 32;
    auto before = bitmap + words;                           // bits set in earlier words
    __syncthreads();
    for (int i = threadIdx.x; i < words; i += blockDim.x) bitmap[i] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < length; i += blockDim.x) {
        uint32_t row = p.unsorted[start + i] / p.active;
        atomicOr(bitmap + row / 32, 1u << row % 32);
    }
    __syncthreads();
    uint32_t sum = 0;
    for (int tile = 0; tile < words; tile += blockDim.x) {
        int i = tile + threadIdx.x;
        uint32_t total, exclusive = exclusive_sum(i < words ? uint32_t(__popc(bitmap[i])) : 0u, scratch, total);
        if (i < words) before[i] = sum + exclusive;
        sum += total;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < length; i += blockDim.x) {
        uint32_t e = p.unsorted[start + i], row = e / p.active;
        p.entry[start + before[row / 32] + __popc(bitmap[row / 32] & ((1u << row % 32) - 1))] = e;
    }
}

// Eight words of a scan, then a bitmap of the rows, and the number of entries before each of its words.
constexpr int index_sort_shared_bytes(int rows) { return 32 + (rows + 31) / 32 * 8; }

// index_sort: runs in ascending order, only of latents that have one: a block for a long run, then a warp for a short
// one
//   launch  grid any, block 256, shared index_sort_shared_bytes(B)
SAE_KERNEL(index_sort, IndexParams, 256) {
    auto scratch = &shared_memory<uint32_t>();              // [8]
    uint32_t shorter = p.class_start[SHORT_CLASS], end = p.class_start[NO_GRADIENT];
    for (uint32_t i = blockIdx.x; i < shorter; i += gridDim.x) {
        int f = p.order[i];
        uint32_t start = run_entry(p.start[f]);
        sort_long(p, start, int(run_entry(p.start[f + 1]) - start), scratch + 8, scratch);
    }
    uint32_t warps = gridDim.x * (blockDim.x / 32);
    for (uint32_t i = shorter + blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; i < end; i += warps) {
        int f = p.order[i];
        uint32_t start = run_entry(p.start[f]);
        sort_short(p, start, int(run_entry(p.start[f + 1]) - start));
    }
}
