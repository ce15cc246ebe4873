// index: the code turned round. For each latent the entries (row k + slot) that hold it, ascending: the same whatever the schedule.
// Counting and scattering use integer atomics, whose result or set of results does not depend on order; ranks then fix the order.
#include "common.cuh"

// Whether an entry has gradients: all of a row's with a threshold, where those near it count; else those that fired.
__device__ __forceinline__ bool entry_lives(const IndexParams& p, size_t e) {
    return p.row_count ? int(e % p.active) < p.row_count[e / p.active] : p.value[e] != 0;
}

constexpr int LONG_RUN = 256;       // entries of a part; update.cu sums longer runs part by part

// index_count    count[f] += 1 for every entry that lives                 grid any, block 256; count zeroed before
SAE_KERNEL(index_count, IndexParams, 256) {
    size_t entries = size_t(p.rows) * p.active;
    for (size_t e = size_t(blockIdx.x) * blockDim.x + threadIdx.x; e < entries; e += size_t(gridDim.x) * blockDim.x)
        if (entry_lives(p, e)) atomicAdd(reinterpret_cast<unsigned long long*>(p.count) + p.index[e], 1ull);
}

// index_parts    count[f] gets its number of parts in the upper half, and cursor[f] = 0        grid any, block 256
SAE_KERNEL(index_parts, IndexParams, 256) {
    for (int f = blockIdx.x * blockDim.x + threadIdx.x; f < p.latents; f += gridDim.x * blockDim.x) {
        uint64_t length = p.count[f];
        if (length > LONG_RUN) p.count[f] = length | (length + LONG_RUN - 1) / LONG_RUN << 32;
        p.cursor[f] = 0;
    }
}

// index_scatter  unsorted runs                                            grid any, block 256
SAE_KERNEL(index_scatter, IndexParams, 256) {
    size_t entries = size_t(p.rows) * p.active;
    for (size_t e = size_t(blockIdx.x) * blockDim.x + threadIdx.x; e < entries; e += size_t(gridDim.x) * blockDim.x) {
        if (!entry_lives(p, e)) continue;
        int f = p.index[e];
        p.unsorted[uint32_t(p.start[f]) + atomicAdd(p.cursor + f, 1)] = uint32_t(e);
    }
}

// index_sort_short   runs of up to 32 entries, a warp each: an entry's place is the number of smaller ones       grid any, block 256
SAE_KERNEL(index_sort_short, IndexParams, 256) {
    int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    for (int f = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; f < p.latents; f += warps) {
        uint32_t start = uint32_t(p.start[f]);
        int length = int(uint32_t(p.start[f + 1]) - start);
        if (length == 0 || length > 32) continue;
        uint32_t mine = lane < length ? p.unsorted[start + lane] : 0xffffffffu;
        int rank = 0;
        for (int other = 0; other < length; ++other) rank += __shfl_sync(0xffffffffu, mine, other) < mine;
        if (lane < length) p.entry[start + rank] = mine;
    }
}

// index_sort_long    longer runs, a block each. A latent stands at most once in a row, so a bitmap of rows ranks its entries.
//   launch  grid any, block 256, shared 8 ceil(B / 32) bytes
SAE_KERNEL(index_sort_long, IndexParams, 256) {
    auto bitmap = &shared_memory<uint32_t>();               // [words]
    int words = (p.rows + 31) / 32;
    auto before = bitmap + words;                           // [words] bits set in earlier words
    for (int f = blockIdx.x; f < p.latents; f += gridDim.x) {
        uint32_t start = uint32_t(p.start[f]);
        int length = int(uint32_t(p.start[f + 1]) - start);
        if (length <= 32) continue;
        __syncthreads();
        for (int i = threadIdx.x; i < words; i += blockDim.x) bitmap[i] = 0;
        __syncthreads();
        for (int i = threadIdx.x; i < length; i += blockDim.x) {
            uint32_t row = p.unsorted[start + i] / p.active;
            atomicOr(bitmap + row / 32, 1u << row % 32);
        }
        __syncthreads();
        if (threadIdx.x < 32) {                             // one warp sums: its lanes take equal shares of the words
            int share = (words + 31) / 32, first = threadIdx.x * share, last = min(first + share, words);
            uint32_t own = 0;
            for (int i = first; i < last; ++i) own += __popc(bitmap[i]);
            uint32_t sum = own;
            for (int offset = 1; offset < 32; offset *= 2) {
                uint32_t left = __shfl_up_sync(0xffffffffu, sum, offset);
                if (int(threadIdx.x) >= offset) sum += left;
            }
            sum -= own;
            for (int i = first; i < last; ++i) {
                before[i] = sum;
                sum += __popc(bitmap[i]);
            }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < length; i += blockDim.x) {
            uint32_t e = p.unsorted[start + i], row = e / p.active;
            p.entry[start + before[row / 32] + __popc(bitmap[row / 32] & ((1u << row % 32) - 1))] = e;
        }
    }
}
