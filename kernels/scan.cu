// scan: exclusive sums over n 64-bit numbers in three launches, for any n. Used for the order of dead latents.
#include "common.cuh"

constexpr int SCAN_BLOCK = 256, SCAN_PER_THREAD = 8, SCAN_TILE = SCAN_BLOCK * SCAN_PER_THREAD;

struct ScanShared { uint64_t sums[SCAN_BLOCK]; };

// Exclusive sum of v over the block, and the total.
__device__ __forceinline__ uint64_t block_exclusive(uint64_t v, ScanShared& s, uint64_t& total) {
    __syncthreads();
    s.sums[threadIdx.x] = v;
    for (int offset = 1; offset < SCAN_BLOCK; offset *= 2) {
        __syncthreads();
        uint64_t left = int(threadIdx.x) >= offset ? s.sums[threadIdx.x - offset] : 0;
        __syncthreads();
        s.sums[threadIdx.x] += left;
    }
    __syncthreads();
    total = s.sums[SCAN_BLOCK - 1];
    return s.sums[threadIdx.x] - v;
}

// scan_sums      block_sums[i] = sum of input over tile i of 2048         grid blocks, block 256, shared 2048 bytes
SAE_KERNEL(scan_sums, ScanParams, 256) {
    auto& s = shared_memory<ScanShared>();
    int first = blockIdx.x * SCAN_TILE + threadIdx.x * SCAN_PER_THREAD;
    uint64_t sum = 0, total;
    for (int i = first; i < min(first + SCAN_PER_THREAD, p.length); ++i) sum += p.input[i];
    block_exclusive(sum, s, total);
    if (threadIdx.x == 0) p.block_sums[blockIdx.x] = total;
}

// scan_offsets   block_sums becomes its own exclusive sum, the total at [blocks]        grid 1, block 256, shared 2048 bytes
SAE_KERNEL(scan_offsets, ScanParams, 256) {
    auto& s = shared_memory<ScanShared>();
    uint64_t before = 0;
    for (int tile = 0; tile < p.blocks; tile += SCAN_BLOCK) {
        int i = tile + threadIdx.x;
        uint64_t v = i < p.blocks ? p.block_sums[i] : 0, total;
        uint64_t exclusive = block_exclusive(v, s, total);
        if (i < p.blocks) p.block_sums[i] = before + exclusive;
        before += total;
    }
    if (threadIdx.x == 0) p.block_sums[p.blocks] = before;
}

// scan_apply     output[i] = sum of input before i; output[n] = all       grid blocks, block 256, shared 2048 bytes
SAE_KERNEL(scan_apply, ScanParams, 256) {
    auto& s = shared_memory<ScanShared>();
    int first = blockIdx.x * SCAN_TILE + threadIdx.x * SCAN_PER_THREAD, last = min(first + SCAN_PER_THREAD, p.length);
    uint64_t sum = 0, total;
    for (int i = first; i < last; ++i) sum += p.input[i];
    uint64_t before = p.block_sums[blockIdx.x] + block_exclusive(sum, s, total);
    for (int i = first; i < last; ++i) {
        p.output[i] = before;
        before += p.input[i];
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) p.output[p.length] = p.block_sums[p.blocks];
}
