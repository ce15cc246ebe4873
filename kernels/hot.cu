// hot: latents that fire on a large share of the rows, as dense columns. Their part of the code becomes a matrix [B,
// H], whose reconstruction, gradients and dot products are dense products (product.cu). The other entries, in
// cold_index and cold_value, are gathered as usual. The list is made anew every 100 steps from counts that are part of
// a run's state, and counts stay on the device. update.cu finds the row gradients by slot, behind the slots of the
// window of dead latents.
#include "common.cuh"

constexpr uint32_t HOT_EVERY = 100;             // HotPhase.Every
// a flag in firings: the latent was in the list; 100 batches of 2^20 rows stay below it
constexpr int HOT_BEFORE = 1 << 30;

// hot_mark
//   out     slot = window + position for every latent of the list that is not in the dead window; scale = 2 loss_scale
//   launch  grid any, block 256; after latents_window, which writes -1 for all latents that are not dead
SAE_KERNEL(hot_mark, HotParams, 256) {
    const int count = *p.hot_count;
    for (int s = blockIdx.x * blockDim.x + threadIdx.x; s < count; s += gridDim.x * blockDim.x) {
        const int f = p.hot[s];
        if (p.slot[f] < 0) p.slot[f] = p.window + s;
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) *p.scale = 2 * p.scalars->loss_scale;
}

// hot_split
//   in      code index, value [B, k]; slot of every latent
//   out     code [B, H]: values of hot latents, zeros elsewhere up to hot_count; the other entries that are not 0, in
//           their order, and their number; row_hot: the number of hot entries
//   launch  grid ceil(B / 8), block 256: a warp a row
//   cost    4 hot_count + 16 k bytes a row
SAE_KERNEL(hot_split, HotParams, 256) {
    const int lane = threadIdx.x % 32, row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    const int hot_count = *p.hot_count;
    if (row >= p.rows) return;
    float* code = p.code + size_t(row) * p.capacity;
    for (int s = lane; s < hot_count; s += 32) code[s] = 0;
    __syncwarp();
    int cold = 0, hot = 0;
    for (int first = 0; first < p.active; first += 32) {
        const size_t e = size_t(row) * p.active + first + lane;
        const float value = first + lane < p.active ? p.value[e] : 0;
        const int f = value != 0 ? p.index[e] : -1, slot = value != 0 ? p.slot[f] : -1;
        const bool is_hot = slot >= p.window, is_cold = value != 0 && !is_hot;
        if (is_hot) code[slot - p.window] = value;
        const uint32_t cold_lanes = __ballot_sync(0xffffffffu, is_cold);
        hot += __popc(__ballot_sync(0xffffffffu, is_hot));
        const size_t to = size_t(row) * p.active + cold + __popc(cold_lanes & ((1u << lane) - 1));
        if (is_cold) {
            p.cold_index[to] = f;
            p.cold_value[to] = value;
        }
        cold += __popc(cold_lanes);
    }
    if (lane != 0) return;
    p.cold_count[row] = cold;
    p.row_hot[row] = hot;
}

// hot_active: row_active += row_hot, after decode
//   launch  grid any, block 256
SAE_KERNEL(hot_active, HotParams, 256) {
    for (int row = blockIdx.x * blockDim.x + threadIdx.x; row < p.rows; row += gridDim.x * blockDim.x)
        p.row_active[row] += p.row_hot[row];
}

struct HotListShared { int votes[32]; };
constexpr int hot_list_shared_bytes() { return sizeof(HotListShared); }

// hot_list
//   in      firings [n] since the last list
//   out     every 100 steps: the latents that fired on at least `density` of the rows since, or on half of that if they
//           are in the list; the first H of them, ascending; firings = 0. Nothing at other steps
//   launch  grid 1, block 1024, shared sizeof(HotListShared) = 128
//   order   latents ascending
SAE_KERNEL(hot_list, HotParams, 1024) {
    if (p.scalars->step % HOT_EVERY != 0) return;
    auto& s = shared_memory<HotListShared>();
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, before = *p.hot_count;
    for (int i = threadIdx.x; i < before; i += blockDim.x) p.firings[p.hot[i]] |= HOT_BEFORE;
    const double enter = double(p.density) * p.rows * HOT_EVERY;
    int found = 0;
    for (int first = 0; first < p.latents; first += blockDim.x) {
        __syncthreads();
        const int f = first + threadIdx.x;
        bool hot = false;
        if (f < p.latents) {
            const int fired = p.firings[f];
            p.firings[f] = 0;
            hot = (fired & ~HOT_BEFORE) >= (fired & HOT_BEFORE ? enter / 2 : enter);
        }
        const uint32_t votes = __ballot_sync(0xffffffffu, hot);
        if (lane == 0) s.votes[warp] = __popc(votes);
        __syncthreads();
        int place = found + __popc(votes & ((1u << lane) - 1));
        for (int w = 0; w < int(blockDim.x / 32); ++w) {
            if (w < warp) place += s.votes[w];
            found += s.votes[w];
        }
        if (hot && place < p.capacity) p.hot[place] = f;
    }
    if (threadIdx.x == 0) *p.hot_count = min(found, p.capacity);
}
