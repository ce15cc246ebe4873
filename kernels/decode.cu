// decode: reconstructions, residuals, loss and the code's gradient, from one gather of the selected decoder rows.
#include "common.cuh"

struct DecodeLists {
    float* values;          // [k]
    float* gates;           // [k] of Gated
    int* rows;              // [k] latents
    float* dots;            // [k]
    float* gate_dots;       // [k]
    int* order;             // [k] live entries, by level, then as they lie
    int* level_start;       // [levels + 1] into order
};

// Entries that have a gradient, in the order in which reconstructions take them in.
__device__ __forceinline__ int list_entries(const DecodeParams& p, size_t row, int count, const DecodeLists& lists) {
    for (int j = threadIdx.x; j < count; j += blockDim.x) {
        size_t e = row * p.active + j;
        lists.values[j] = p.value[e];
        lists.rows[j] = p.index[e];
        lists.dots[j] = 0;
        if (p.gate) {
            lists.gates[j] = fmaxf(0, p.gate[e]);
            lists.gate_dots[j] = 0;
        }
    }
    __syncthreads();
    auto level = [&](int j) { return p.level ? int(p.level[row * p.active + j]) : 0; };
    auto live = [&](int j) { return lists.values[j] != 0 || p.paired; };
    for (int j = threadIdx.x; j < count; j += blockDim.x) {
        if (!live(j)) continue;
        int place = 0;
        for (int other = 0; other < count; ++other)
            if (live(other)) place += level(other) < level(j) || (level(other) == level(j) && other < j);
        lists.order[place] = j;
    }
    for (int m = threadIdx.x; m <= p.levels; m += blockDim.x) {
        int before = 0;
        for (int j = 0; j < count; ++j) before += live(j) && level(j) < m;
        lists.level_start[m] = before;
    }
    __syncthreads();
    return lists.level_start[p.levels];
}

// decode
//   in      code [B, k], w_dec [n, lo], b_dec, y [B, lo]
//   out     for each level l the sum of w_m e_m over m >= l, in bf16, where e_m = xhat_m - y and xhat_m holds the entries of levels <= m;
//           e of the reported level in f32; value_grad [B, k] = 2 loss_scale <that sum, w_dec> where an entry is live, else 0; the same of the
//           gate's reconstruction; sums by row
//   launch  grid B, block 256, shared: see DecodePhase.SharedBytes
//   needs   pitch % slice == 0, slice % 64 == 0
//   cost    k lo 2 bytes a row, once: a slice of all k rows is held in shared memory for all uses, because the residual
//           at a column depends on that column alone
//   order   fixed: sums by thread, then by warp tree
SAE_KERNEL(decode, DecodeParams, 256) {
    auto scratch = &shared_memory<float>();                             // [16]
    auto e_slice = scratch + 16;                                        // [levels, slice]
    auto gate_slice = e_slice + p.levels * p.slice;                     // [slice]
    DecodeLists lists;
    lists.values = gate_slice + (p.gate ? p.slice : 0);
    lists.dots = lists.values + p.active;
    lists.gates = lists.dots + p.active;
    lists.gate_dots = lists.gates + (p.gate ? p.active : 0);
    lists.rows = reinterpret_cast<int*>(lists.gate_dots + (p.gate ? p.active : 0));
    lists.order = lists.rows + p.active;
    lists.level_start = lists.order + p.active;
    auto w = reinterpret_cast<bf16_bits*>((reinterpret_cast<uintptr_t>(lists.level_start + p.levels + 1) + 15) & ~uintptr_t(15));   // [k, slice]

    const size_t row = blockIdx.x;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const int count = p.row_count ? p.row_count[row] : p.active;
    const int live = list_entries(p, row, count, lists);
    int fired = 0;
    for (int j = threadIdx.x; j < count; j += blockDim.x) fired += lists.values[j] != 0;
    float error = 0, norm = 0, level_error = 0, gate_error = 0, reconstruction = 0;
    for (int column = 0; column < p.pitch; column += p.slice) {
        __syncthreads();
        int vectors = p.slice / 8;
        for (int t = threadIdx.x; t < live * vectors; t += blockDim.x) {
            int j = t / vectors, c = t % vectors * 8;
            *reinterpret_cast<uint4*>(w + j * p.slice + c) = *reinterpret_cast<const uint4*>(p.w_dec + size_t(lists.rows[lists.order[j]]) * p.pitch + column + c);
        }
        __syncthreads();
        for (int c = threadIdx.x; c < p.slice; c += blockDim.x) {
            const size_t at = row * p.pitch + column + c;
            float start = p.b_dec[column + c], y = p.y[at];
            if (p.baseline) start += p.baseline[at];
            float xhat = start, e = 0;
            for (int m = 0; m < p.levels; ++m) {
                for (int j = lists.level_start[m]; j < lists.level_start[m + 1]; ++j) xhat += lists.values[lists.order[j]] * bf16_to_float(w[j * p.slice + c]);
                float own = xhat - y;
                e_slice[m * p.slice + c] = own;
                level_error += p.level_weight[m] * own * own;
                if (m == p.report) e = own;
            }
            float suffix = 0;
            for (int m = p.levels - 1; m >= 0; --m) {
                suffix += p.level_weight[m] * e_slice[m * p.slice + c];
                e_slice[m * p.slice + c] = suffix;
                p.residual_bf16[size_t(m) * p.rows * p.pitch + at] = float_to_bf16(suffix);
            }
            p.residual[at] = e;
            if (p.weighted) p.weighted[at] = suffix;
            error += e * e;
            norm += y * y;
            reconstruction += (e + y) * (e + y);
            if (p.gate) {
                float own = start;
                for (int j = 0; j < live; ++j) own += lists.gates[lists.order[j]] * bf16_to_float(w[j * p.slice + c]);
                own -= y;
                gate_slice[c] = own;
                p.gate_residual[at] = own;
                p.gate_residual_bf16[at] = float_to_bf16(own);
                gate_error += own * own;
            }
        }
        __syncthreads();
        for (int j = warp; j < live; j += warps) {
            int entry = lists.order[j], level = p.level ? p.level[row * p.active + entry] : 0;
            float dot = 0, gate_dot = 0;
            for (int c = lane; c < p.slice; c += 32) {
                float weight = bf16_to_float(w[j * p.slice + c]);
                dot += e_slice[level * p.slice + c] * weight;
                if (p.gate) gate_dot += gate_slice[c] * weight;
            }
            dot = warp_sum(dot);
            if (p.gate) gate_dot = warp_sum(gate_dot);
            if (lane == 0) {
                lists.dots[entry] += dot;
                if (p.gate) lists.gate_dots[entry] += gate_dot;
            }
        }
    }
    __syncthreads();
    const float scale = 2 * p.scalars->loss_scale;
    for (int j = threadIdx.x; j < p.active; j += blockDim.x) {
        p.value_grad[row * p.active + j] = j < count ? scale * lists.dots[j] : 0;
        if (p.gate) p.gate_grad[row * p.active + j] = j < count ? scale * lists.gate_dots[j] : 0;
    }
    error = block_sum(error, scratch);
    norm = block_sum(norm, scratch);
    level_error = block_sum(level_error, scratch);
    gate_error = block_sum(gate_error, scratch);
    reconstruction = block_sum(reconstruction, scratch);
    float active = block_sum(float(fired), scratch);
    if (threadIdx.x == 0) {
        p.row_error[row] = error;
        p.row_norm[row] = norm;
        p.row_level_error[row] = level_error;
        if (p.gate) p.row_gate_error[row] = gate_error;
        p.row_reconstruction[row] = reconstruction;
        p.row_active[row] = int(active);
    }
}
