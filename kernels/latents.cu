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

// latents_window: all dead latents, or the part of them that belongs to this step's number
//   out     aux_rows [aux_count] by slot, aux_slot [n] or -1, dead_count, aux_count
//   launch  grid any, block 256
SAE_KERNEL(latents_window, LatentsParams, 256) {
    if (p.scalars->abandoned) return;
    uint64_t dead = p.ordinal[p.latents];
    uint64_t window = min(dead, uint64_t(p.window));
    uint64_t first = dead > window && window > 0 ? uint64_t(p.scalars->step + 1 - p.early) * p.window % dead : 0;
    for (int f = blockIdx.x * blockDim.x + threadIdx.x; f < p.latents; f += gridDim.x * blockDim.x) {
        int slot = -1;
        if (p.flag[f] && window > 0) {
            uint64_t at = (p.ordinal[f] + dead - first) % dead;
            if (at < window) {
                slot = int(at);
                p.aux_rows[slot] = f;
            }
        }
        p.aux_slot[f] = slot;
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        *p.dead_count = int(dead);
        *p.aux_count = int(window);
    }
}
