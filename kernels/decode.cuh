// Computes the residuals and dot products of each slice of a row, then the sums of the row. The kernel decode adds the
// entries itself. On several ranks, decode_rest takes the sums of all ranks.
#pragma once
#include "decode_slices.cuh"

struct RowSums { float error = 0, norm = 0, level_error = 0, gate_error = 0, reconstruction = 0; };

// One warp's slice: the reconstructions of all levels, their residuals, and the dot products of residuals with every
// entry's decoder row. level_errors: [levels, 32, 8], null with one level. SUMMED: the sums over the entries of all
// ranks are in p.sums and p.gate_sums.
template <bool SUMMED>
__device__ __forceinline__ void decode_slice(const DecodeParams& p, const SliceLane& lane, const DecodeLists& lists,
                                             size_t row, int column, bool inside, const bf16_bits* w,
                                             float* level_errors, float* dots, float* gate_dots, RowSums& sums) {
    const size_t at = row * p.lo + column;
    const bool writes = inside && lane.group == 0;
    const int live = lists.level_start[p.levels];
    float start[8] = {}, y[8] = {}, sum[8] = {}, e[8];
    if (inside) {
        load8(start, p.b_dec + column);
        load8(y, p.y + at);
        if (p.baseline) add8(start, p.baseline + at);
    }
    for (int m = 0; m < p.levels; ++m) {
        if constexpr (SUMMED) {
            if (inside) load8(sum, p.sums + size_t(m) * p.sum_rows * p.lo + at);
            for (int i = 0; i < 8; ++i) e[i] = sum[i];
        } else {
            if (inside) add_slices(lane, w, lists.values, lists.level_start[m], lists.level_start[m + 1], sum);
            for (int i = 0; i < 8; ++i) e[i] = sum[i];
            sum_groups(lane, e);
        }
        for (int i = 0; i < 8; ++i) e[i] += start[i] - y[i];
        if (level_errors) store8(level_errors + (m * 32 + threadIdx.x % 32) * 8, e);
        if (!writes) continue;
        for (int i = 0; i < 8; ++i) {
            sums.level_error += p.level_weight[m] * e[i] * e[i];
            if (m != p.report) continue;
            sums.error += e[i] * e[i];
            sums.norm += y[i] * y[i];
            sums.reconstruction += (e[i] + y[i]) * (e[i] + y[i]);
        }
        if (m == p.report) store8(p.residual + at, e);
    }
    float suffix[8] = {};
    for (int m = p.levels - 1; m >= 0; --m) {
        if (level_errors) load8(e, level_errors + (m * 32 + threadIdx.x % 32) * 8);
        for (int i = 0; i < 8; ++i) suffix[i] += p.level_weight[m] * e[i];
        if (writes) store_bf16x8(p.residual_bf16 + size_t(m) * p.rows * p.lo + at, suffix);
        add_dots(lane, w, suffix, inside, lists.level_start[m], lists.level_start[m + 1], dots);
    }
    if (p.weighted && writes) store8(p.weighted + at, suffix);
    if (!p.gate) return;
    for (int i = 0; i < 8; ++i) sum[i] = 0;
    if constexpr (SUMMED) {
        if (inside) load8(sum, p.gate_sums + at);
    } else {
        if (inside) add_slices(lane, w, lists.gates, 0, live, sum);
        sum_groups(lane, sum);
    }
    for (int i = 0; i < 8; ++i) sum[i] += start[i] - y[i];
    add_dots(lane, w, sum, inside, 0, live, gate_dots);
    if (!writes) return;
    store8(p.gate_residual + at, sum);
    store_bf16x8(p.gate_residual_bf16 + at, sum);
    for (int i = 0; i < 8; ++i) sums.gate_error += sum[i] * sum[i];
}

// Decodes one row.
template <bool SUMMED> __device__ __forceinline__ void decode_row(const DecodeParams& p) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32, gates = p.gate ? 1 : 0;
    const DecodeMemory memory = decode_memory(p);
    const DecodeLists& lists = memory.lists;
    float *scratch = memory.scratch, *dots = memory.dots;
    const size_t row = blockIdx.x;
    const int count = p.row_count ? p.row_count[row] : p.active;
    for (int i = threadIdx.x; i < (1 + gates) * warps * p.active; i += blockDim.x) dots[i] = 0;
    const int live = list_entries(p, row, count, lists);
    const SliceLane slice(p.slice);
    RowSums sums;
    each_slice(p, slice, lists, live, memory.weights, [&](int column, bool inside, const bf16_bits* w) {
        decode_slice<SUMMED>(p, slice, lists, row, column, inside, w, memory.level_errors, dots + warp * p.active,
                             dots + (warps + warp) * p.active, sums);
    });

    float fired = 0;
    for (int j = threadIdx.x; j < count; j += blockDim.x) fired += p.value[row * p.active + j] != 0;
    float all[6] = {sums.error, sums.norm, sums.level_error, sums.gate_error, sums.reconstruction, fired};
    for (int i = 0; i < 6; ++i) {
        all[i] = warp_sum(all[i]);
        if (lane == 0) scratch[i * warps + warp] = all[i];
    }
    __syncthreads();
    const float scale = 2 * p.scalars->loss_scale;
    for (int j = threadIdx.x; j < p.active; j += blockDim.x) {
        float dot = 0, gate_dot = 0;
        for (int w = 0; lists.position[j] >= 0 && w < warps; ++w) {
            dot += dots[w * p.active + lists.position[j]];
            if (p.gate) gate_dot += dots[(warps + w) * p.active + lists.position[j]];
        }
        p.value_grad[row * p.active + j] = scale * dot;
        if (p.gate) p.gate_grad[row * p.active + j] = scale * gate_dot;
    }
    if (threadIdx.x != 0) return;
    for (int i = 0; i < 6; ++i) {
        all[i] = 0;
        for (int w = 0; w < warps; ++w) all[i] += scratch[i * warps + w];
    }
    p.row_error[row] = all[0];
    p.row_norm[row] = all[1];
    p.row_level_error[row] = all[2];
    if (p.gate) p.row_gate_error[row] = all[3];
    p.row_reconstruction[row] = all[4];
    p.row_active[row] = int(all[5]);
}
