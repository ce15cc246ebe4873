// scan: exclusive sums over n 64-bit numbers in two launches, for any n. It numbers the dead latents. Sums of whole
// numbers are the same in any order.
//   cost    16 bytes a number read, 8 written
#include "scan.cuh"
#include "ticket.cuh"

constexpr int SCAN_TILE = 2048, SCAN_PER_THREAD = 8;

struct ScanShared { uint64_t sums[8]; uint32_t last; };
constexpr int scan_shared_bytes() { return sizeof(ScanShared); }

// A thread's numbers of the block's tile, and their sum.
struct ThreadNumbers {
    int first, last;
    uint64_t sum = 0;

    __device__ __forceinline__ explicit ThreadNumbers(const ScanParams& p)
        : first(blockIdx.x * SCAN_TILE + threadIdx.x * SCAN_PER_THREAD), last(min(first + SCAN_PER_THREAD, p.length)) {
        for (int i = first; i < last; ++i) sum += p.input[i];
    }
};

// scan_tiles
//   in      input [n]
//   out     tile_sums: the sums before each tile of 2048; output[n] = the total
//   launch  grid tiles, block 256, shared scan_shared_bytes(); the block that finishes last sums over tiles
SAE_KERNEL(scan_tiles, ScanParams, 256) {
    auto& s = shared_memory<ScanShared>();
    uint64_t total;
    exclusive_sum(ThreadNumbers(p).sum, s.sums, total);
    if (threadIdx.x == 0) p.tile_sums[blockIdx.x] = total;
    if (!last_block(p.ticket, &s.last)) return;
    total = sum_in_place(p.tile_sums, p.tiles, s.sums);
    if (threadIdx.x == 0) p.output[p.length] = total;
}

// scan_apply
//   in      input, tile_sums
//   out     output[i] = sum of input before i
//   launch  grid tiles, block 256, shared scan_shared_bytes()
SAE_KERNEL(scan_apply, ScanParams, 256) {
    auto& s = shared_memory<ScanShared>();
    const ThreadNumbers mine(p);
    uint64_t unused, before = p.tile_sums[blockIdx.x] + exclusive_sum(mine.sum, s.sums, unused);
    for (int i = mine.first; i < mine.last; ++i) {
        p.output[i] = before;
        before += p.input[i];
    }
}
