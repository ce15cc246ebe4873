// latents: the step at which each latent last fired, the dead latents, and the window of dead latents for the next
// step. Counts stay on the device.
#include "common.cuh"

// latents_fired: last_fired = step where a value is not 0; all writers of one latent write the same number
//   launch  grid any, block 256
SAE_KERNEL(latents_fired, LatentsParams, 256) {
    if (p.scalars->abandoned) return;
    int step = int(p.scalars->step), entries = p.rows * p.active;
    for (int e = blockIdx.x * blockDim.x + threadIdx.x; e < entries; e += gridDim.x * blockDim.x)
        if ((!p.row_count || e % p.active < p.row_count[e / p.active]) && p.value[e] != 0)
            p.last_fired[p.index[e]] = step;
}

// latents_count: firings [n], zeroed before, of the entries
//   launch  grid any, block 256
SAE_KERNEL(latents_count, LatentsParams, 256) {
    int entries = p.rows * p.active;
    for (int e = blockIdx.x * blockDim.x + threadIdx.x; e < entries; e += gridDim.x * blockDim.x)
        if ((!p.row_count || e % p.active < p.row_count[e / p.active]) && p.value[e] != 0)
            atomicAdd(p.firings + p.index[e], 1);
}

// latents_dense: last_fired = step where the dense path counted firings
//   launch  grid any, block 256
SAE_KERNEL(latents_dense, LatentsParams, 256) {
    for (int f = blockIdx.x * blockDim.x + threadIdx.x; f < p.latents; f += gridDim.x * blockDim.x)
        if (p.firings[f] > 0) p.last_fired[f] = int(p.scalars->step);
}

// latents_flag: flag = 1 where a latent is dead; scan.cu then numbers the dead latents
//   launch  grid any, block 256
SAE_KERNEL(latents_flag, LatentsParams, 256) {
    const auto& s = *p.scalars;
    for (int f = blockIdx.x * blockDim.x + threadIdx.x; f < p.latents; f += gridDim.x * blockDim.x)
        p.flag[f] = (p.early && s.all_dead) || s.step - p.early - uint32_t(p.last_fired[f]) >= s.dead_after_steps;
}

// The dead latents of all ranks, and the window of this step among them: those with numbers from `first` on, and from 0
// on after the last one. On one process before = 0 and own = dead.
struct DeadWindow {
    uint64_t before, own, dead;             // dead latents on lower ranks, on this rank, on all ranks
    uint64_t length, first;
    uint64_t head;                          // slots of this rank before those that begin again at 0

    __device__ __forceinline__ explicit DeadWindow(const LatentsParams& p)
        : before(0), own(p.ordinal[p.latents]), dead(own), length(0), first(0), head(0) {
        if (p.rank_dead) {
            dead = 0;
            for (int r = 0; r < p.ranks; ++r) {
                if (r == p.rank) before = dead;
                dead += p.rank_dead[r];
            }
        }
        length = min(dead, uint64_t(p.window));
        if (dead > length && length > 0) first = uint64_t(p.scalars->step + 1 - p.early) * p.window % dead;
        if (first > before && first < before + own) head = min(before + own - first, length);
    }
    __device__ __forceinline__ bool holds(uint64_t number) const { return (number + dead - first) % dead < length; }

    // The slots of a rank are contiguous and ascend from the start of the window.
    __device__ __forceinline__ int slot(uint64_t number) const {
        return int(head == 0 ? number - before : number >= first ? number - first : head + number - before);
    }
    // Latents of the window on this rank.
    __device__ __forceinline__ int count() const {
        return int(overlap(first, min(first + length, dead)) + overlap(0, first + length - min(first + length, dead)));
    }
    __device__ __forceinline__ uint64_t overlap(uint64_t from, uint64_t to) const {
        const uint64_t low = max(from, before), high = min(to, before + own);
        return high > low ? high - low : 0;
    }
};

// latents_window: all dead latents, or the part of them that belongs to this step's number
//   out     aux_rows [aux_count] by slot, aux_slot [n] or -1, dead_count, aux_count, aux_total
//   launch  grid any, block 256
SAE_KERNEL(latents_window, LatentsParams, 256) {
    if (p.scalars->abandoned) return;
    const DeadWindow window(p);
    for (int f = blockIdx.x * blockDim.x + threadIdx.x; f < p.latents; f += gridDim.x * blockDim.x) {
        int slot = -1;
        const uint64_t number = window.before + p.ordinal[f];
        if (p.flag[f] && window.length > 0 && window.holds(number)) {
            slot = window.slot(number);
            p.aux_rows[slot] = f;
        }
        p.aux_slot[f] = slot;
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        *p.dead_count = int(window.dead);
        *p.aux_count = window.count();
        if (p.aux_total) *p.aux_total = int(window.length);
    }
}
