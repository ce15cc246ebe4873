// latents: when each last fired, who is dead, and the window of dead latents for the next step. No count leaves the device.
#include "common.cuh"

// latents_fired      last_fired = step where value > 0: writers of one latent write the same number      grid any, block 256
SAE_KERNEL(latents_fired, LatentsParams, 256) {
    int step = int(p.scalars->step);
    for (int e = blockIdx.x * blockDim.x + threadIdx.x; e < p.entries; e += gridDim.x * blockDim.x)
        if (p.value[e] > 0) p.last_fired[p.index[e]] = step;
}

// latents_flag       flag = 1 where dead; scan.cu then numbers them                                      grid any, block 256
SAE_KERNEL(latents_flag, LatentsParams, 256) {
    for (int f = blockIdx.x * blockDim.x + threadIdx.x; f < p.latents; f += gridDim.x * blockDim.x)
        p.flag[f] = p.scalars->step - uint32_t(p.last_fired[f]) >= p.scalars->dead_after_steps;
}

// latents_window     all dead latents, or the part that the next step's number turns to                  grid any, block 256
//   out     aux_rows [aux_count] by slot, aux_slot [n] or -1, dead_count, aux_count
SAE_KERNEL(latents_window, LatentsParams, 256) {
    uint64_t dead = p.ordinal[p.latents];
    uint64_t window = min(dead, uint64_t(p.window));
    uint64_t first = dead > window && window > 0 ? uint64_t(p.scalars->step + 1) * p.window % dead : 0;
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
