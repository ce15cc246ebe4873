// The gradient of a latent's two rows, summed over its entries into registers.
#pragma once
#include "group.cuh"
#include "runs.cuh"
#include "vector.cuh"

// A thread's columns of a latent's two rows: gradients, later weights. PLAIN serves the common methods (untied weights,
// bounded codes, moments of 16 or 32 bits, no average) and leaves out the code and the registers of all others.
template <int V, bool PLAIN> struct Rows {
    float dec[V][8], enc[V][8];
};

// Up to 32 entries, one a lane.
struct EntryLane {
    uint32_t row, error;            // of x_centered and of residual
    float value, delta, gate;       // their factors

    __device__ __forceinline__ EntryLane(const UpdateParams& p, uint32_t at, int count, float scale)
        : row(0), error(0), value(0), delta(0), gate(0) {
        if (int(threadIdx.x % 32) >= count) return;
        uint32_t e = p.entry[at + threadIdx.x % 32];
        row = error = e / p.active;
        if (p.level) error += uint32_t(p.level[e]) * p.rows;
        value = scale * p.value[e];
        delta = p.value_grad[e];
        if (p.gate) gate = scale * fmaxf(0, p.gate[e]);
    }
};

// Entries [j, j + A) of the warp's 32. All their loads are issued before the first is used.
template <int A, int V, bool PLAIN, class Group>
__device__ __forceinline__ void add_entries(const UpdateParams& p, const Group& group, const EntryLane& entries, int j,
                                            Rows<V, PLAIN>& g, float& bias) {
    uint4 error[A][V], x[A][V];
    float value[A], delta[A];
#pragma unroll
    for (int a = 0; a < A; ++a) {
        uint32_t error_row = __shfl_sync(0xffffffffu, entries.error, j + a);
        uint32_t row = __shfl_sync(0xffffffffu, entries.row, j + a);
        value[a] = __shfl_sync(0xffffffffu, entries.value, j + a);
        delta[a] = __shfl_sync(0xffffffffu, entries.delta, j + a);
        const bf16_bits* errors = p.residual + row_start(error_row, p.lo);
        const bf16_bits* inputs = p.x_centered + row_start(row, p.ld);
        each_column<V>(group, p.lo, [&](int v, int column) { error[a][v] = load_bf16x8(errors + column); });
        each_column<V>(group, p.ld, [&](int v, int column) { x[a][v] = load_bf16x8(inputs + column); });
    }
#pragma unroll
    for (int a = 0; a < A; ++a) {
        each_column<V>(group, p.lo, [&](int v, int) { add_scaled8(g.dec[v], value[a], error[a][v]); });
        each_column<V>(group, p.ld, [&](int v, int) { add_scaled8(g.enc[v], delta[a], x[a][v]); });
        bias += delta[a];
    }
}

// Adds entries [first, last), ascending. The gate's reconstruction is added after each 32.
template <int V, bool PLAIN, class Group>
__device__ __forceinline__ void sum_entries(const UpdateParams& p, const Group& group, uint32_t first, uint32_t last,
                                            float scale, Rows<V, PLAIN>& g, float& bias) {
    constexpr int AHEAD = V == 1 ? Group::AHEAD : V == 2 ? 2 : 1;
#pragma unroll 1
    for (uint32_t at = first; at < last; at += 32) {
        int count = int(min(32u, last - at)), j = 0;
        EntryLane entries(p, at, count, scale);
#pragma unroll 1
        for (; j + AHEAD <= count; j += AHEAD) add_entries<AHEAD>(p, group, entries, j, g, bias);
#pragma unroll 1
        for (; AHEAD > 1 && j < count; ++j) add_entries<1>(p, group, entries, j, g, bias);
#pragma unroll 1
        for (j = 0; !PLAIN && p.gate && j < count; ++j) {
            uint32_t row = __shfl_sync(0xffffffffu, entries.row, j);
            float gate = __shfl_sync(0xffffffffu, entries.gate, j);
            const bf16_bits* errors = p.gate_residual + row_start(row, p.lo);
            each_column<V>(group, p.lo, [&](int v, int column) {
                add_scaled8(g.dec[v], gate, load_bf16x8(errors + column));
            });
        }
    }
}

// The work on one latent.
struct LatentWork {
    uint32_t f;                     // latent
    int slot;                       // its slot in the window of dead latents, or -1
    uint64_t start, end;            // of its run; equal on the dense path
    bool has_gradient;
};

template <int V, bool PLAIN, class Group>
__device__ __forceinline__ void add_rows(const Group& group, const float* dec, int dec_width, const float* enc,
                                         int enc_width, Rows<V, PLAIN>& g) {
    each_column<V>(group, dec_width, [&](int v, int column) { add8(g.dec[v], dec + column); });
    each_column<V>(group, enc_width, [&](int v, int column) { add8(g.enc[v], enc + column); });
}

// The gradients of all columns. Returns that of the bias where no sums are given.
template <int V, bool PLAIN, class Group>
__device__ __forceinline__ float gather(const UpdateParams& p, const Group& group, const LatentWork& work, float scale,
                                        Rows<V, PLAIN>& g) {
    float bias = 0;
    if (!PLAIN && p.dense_enc) {
        const uint32_t row = work.f - p.first;
        add_rows(group, p.dense_dec + row_start(row, p.lo), p.lo,
                 p.dense_enc + row_start(row, p.ld), p.ld, g);
    }
    if (work.slot >= 0) {
        bias = p.aux_bias_grad[work.slot];
        add_rows(group, p.aux_dec_grad + row_start(work.slot, p.lo), p.lo,
                 p.aux_enc_grad + row_start(work.slot, p.ld), p.ld, g);
    }
    if (run_part(work.end) == run_part(work.start))
        sum_entries(p, group, run_entry(work.start), run_entry(work.end), scale, g, bias);
#pragma unroll 1
    for (uint32_t part = run_part(work.start); part < run_part(work.end); ++part) {
        const float* from = p.parts + row_start(part, p.ld + p.lo);
        add_rows(group, from, p.lo, from + p.lo, p.ld, g);
        bias += p.parts_bias[part];
    }
    return bias;
}
