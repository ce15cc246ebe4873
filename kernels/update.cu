// update: for each latent the gradients of both rows and of all its numbers, projection, clipping, the optimizer's
// step, the constraint, and the low-precision operand, in one pass. On the sparse path gradients are never written to
// memory: they stay in the registers of a warp, or of a block where rows are wide.
#include "update_row.cuh"

// update_parts
//   in      runs longer than 256 entries, cut every 256
//   out     parts [parts, lo + ld] and parts_bias: their sums
//   launch  grid any, block 256: a warp takes 256 columns of a part; parts are counted on the device
//   cost    gathers 256 (lo + ld) 2 bytes a part, in 16-byte loads, those of four entries in flight
SAE_KERNEL(update_parts, UpdateParams, 256) {
    uint32_t slices = (max(p.ld, p.lo) + 255) / 256, items = run_part(p.start[p.latents]) * slices;
    uint32_t warps = gridDim.x * (blockDim.x / 32);
    float scale = 2 * p.scalars->loss_scale;
#pragma unroll 1
    for (uint32_t item = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; item < items; item += warps) {
        uint32_t part = item / slices;
        int low = 0, high = p.latents - 1;                  // the last latent whose parts start at or before this one
#pragma unroll 1
        while (low < high) {
            int middle = (low + high + 1) / 2;
            if (run_part(p.start[middle]) <= part) low = middle; else high = middle - 1;
        }
        uint32_t first = run_entry(p.start[low]) + (part - run_part(p.start[low])) * PART_ENTRIES;
        uint32_t last = min(first + PART_ENTRIES, run_entry(p.start[low + 1]));
        WarpGroup group{int(item % slices) * 256};
        Rows<1, false> g = {};
        float bias = 0, *to = p.parts + row_start(part, p.ld + p.lo);
        sum_entries(p, group, first, last, scale, g, bias);
        each_column<1>(group, p.lo, [&](int v, int column) { store8(to + column, g.dec[v]); });
        each_column<1>(group, p.ld, [&](int v, int column) { store8(to + p.lo + column, g.enc[v]); });
        if (group.column(0) == 0) p.parts_bias[part] = bias;
    }
}

// Frozen parameters have no gradient.
template <int V, bool PLAIN>
__device__ __forceinline__ void mask_frozen(const UpdateParams& p, EntryGradient& g, float& tie, Rows<V, PLAIN>& rows,
                                            Trainable parts) {
    if (!p.rescale || !learns(parts, Trainable::MagnitudeScale)) g.scale = 0;
    if (!learns(parts, Trainable::EncoderBias)) g.bias = 0;
    if (!learns(parts, Trainable::Threshold)) g.threshold = 0;
    if (!learns(parts, Trainable::MagnitudeBias)) g.mag = 0;
    if (!learns(parts, Trainable::TieScale)) tie = 0;
    for (int v = 0; v < V; ++v)
        for (int i = 0; i < 8; ++i) {
            if (!learns(parts, Trainable::Encoder)) rows.enc[v][i] = 0;
            if (!learns(parts, Trainable::Decoder)) rows.dec[v][i] = 0;
        }
}

// Accumulates the encoder's contribution to dL/db_dec over the group's latents.
// sum: [ld] in shared memory, each thread its own columns.
template <int V, class Group>
__device__ __forceinline__ void add_bias_part(const UpdateParams& p, const Group& group, uint32_t f, float delta,
                                              float* sum) {
    if (!p.bias_parts) return;
    each_column<V>(group, p.ld, [&](int, int column) {
        float w[8], all[8];
        load_weights8(w, p.w_enc_hi, p.w_enc_lo, row_start(f, p.ld) + column);
        load8(all, sum + column);
        for (int i = 0; i < 8; ++i) all[i] += delta * w[i];
        store8(sum + column, all);
    });
}

// The whole gradient of a latent: its rows in registers, its numbers in g, projected. Returns its squared norm.
template <int V, bool PLAIN, class Group>
__device__ __forceinline__ float whole_gradient(const UpdateParams& p, const Group& group, const LatentWork& work,
                                                EntryGradient& g, float& tie, Rows<V, PLAIN>& rows, float* sum,
                                                const StepScalars& s) {
    float bias = gather(p, group, work, 2 * s.loss_scale, rows);
    if (!PLAIN && p.sums) {
        g = p.sums[work.f];
        if (work.slot >= 0) {
            g.bias += p.aux_bias_grad[work.slot];
            g.input += p.aux_bias_grad[work.slot];
        }
    } else g.input = g.bias = bias;
    if (!PLAIN) add_sums(p, group, work.f, g, rows);
    add_bias_part<V>(p, group, work.f, g.input, sum);
    if (!PLAIN && p.tied != Tying::Untied) tie = join_tied(p, group, work.f, rows);
    mask_frozen(p, g, tie, rows, s.trainable);
    if (p.decoder_norm == DecoderNorm::Unit) project(p, group, work.f, rows);
    float norm = 0;
    each_column<V>(group, p.lo, [&](int v, int) {
        for (int i = 0; i < 8; ++i) norm += rows.dec[v][i] * rows.dec[v][i];
    });
    each_column<V>(group, p.ld, [&](int v, int) {
        for (int i = 0; i < 8; ++i) norm += rows.enc[v][i] * rows.enc[v][i];
    });
    return group.sum(norm) + g.bias * g.bias + g.threshold * g.threshold + g.mag * g.mag + g.scale * g.scale
        + tie * tie;
}

// Updates all parameters of one latent. rows holds its gradients, zeros where it has none.
template <int V, bool PLAIN, class Group>
__device__ __forceinline__ void apply(const UpdateParams& p, const Group& group, const LatentWork& work,
                                      const EntryGradient& g, float tie, float factor, Rows<V, PLAIN>& rows,
                                      const StepScalars& s) {
    const uint32_t f = work.f;
    int missed_steps = p.last_touched ? int(s.step) - 1 - p.last_touched[f] : 0;
    group.sync();                                           // all threads have read last_touched
    if (group.rank() == 0) {                                // the numbers first: a tied encoder row takes the new scale
        step_vector(p.b_enc, f, g.bias * factor, missed_steps, s, p.optimizer,
                    learns(s.trainable, Trainable::EncoderBias));
        if (!PLAIN) {
            step_vector(p.threshold, f, g.threshold * factor, missed_steps, s, p.optimizer,
                        learns(s.trainable, Trainable::Threshold), p.direct);
            step_vector(p.b_mag, f, g.mag * factor, missed_steps, s, p.optimizer,
                        learns(s.trainable, Trainable::MagnitudeBias));
            step_vector(p.r_mag, f, g.scale * factor, missed_steps, s, p.optimizer,
                        p.rescale && learns(s.trainable, Trainable::MagnitudeScale));
            step_vector(p.tie_scale, f, tie * factor, missed_steps, s, p.optimizer,
                        learns(s.trainable, Trainable::TieScale));
        }
        if (p.last_touched) p.last_touched[f] = int(s.step);
    }
    step_decoder(p, group, f, work.has_gradient, factor, missed_steps, rows, s);
    if (!PLAIN)
        average_row<V>(group, p.lo, p.ema_dec ? p.ema_dec + f * p.lo : nullptr, s.ema_decay, rows.dec);
    if (!PLAIN) group.sync();                               // the new scale is visible
    step_encoder(p, group, f, factor, missed_steps, rows, s);
    if (!PLAIN) average_row<V>(group, p.ld, p.ema_enc ? p.ema_enc + f * p.ld : nullptr, s.ema_decay, rows.enc);
}

__device__ __forceinline__ LatentWork latent_work(const UpdateParams& p, int place) {
    const uint32_t f = p.order ? p.order[place] : p.first + place;
    LatentWork work{f, p.aux_slot ? p.aux_slot[f] : -1, 0, 0, true};
    if (!p.dense_enc) {
        work.start = p.start[f];
        work.end = p.start[f + 1];
        work.has_gradient =
            run_entry(work.end) > run_entry(work.start) || work.slot >= 0 || (p.sums && p.sums[f].base != 0);
    }
    return work;
}

// Group `index` of `groups` updates every groups-th latent, longest runs first. The latents without a gradient come
// last, and are updated only where every row moves in every step.
// squares: the sum of the squared norms, in shared memory, because it would take two registers of every thread. Before
// the block's next barrier only the group's first thread reads and writes it.
template <int V, bool PLAIN, class Group>
__device__ __forceinline__ void update_latents(const UpdateParams& p, const Group& group, int index, int groups,
                                              float* sum, double* squares) {
    const auto& s = *p.scalars;
    const float global = p.clip_factor ? *p.clip_factor : 1;
    const bool all = !p.order || !(p.last_touched || p.measure);
    const int places = all ? p.count : int(p.class_start[NO_GRADIENT]);
    if (group.rank() == 0) *squares = 0;
    each_column<V>(group, p.ld, [&](int, int column) {
        const float none[8] = {};
        store8(sum + column, none);
    });
#pragma unroll 1
    for (int place = index; place < places; place += groups) {
        LatentWork work = latent_work(p, place);
        if (!work.has_gradient && (p.last_touched || p.measure)) continue;
        EntryGradient g = {};
        Rows<V, PLAIN> rows = {};
        float tie = 0, factor = global, norm = 0;
        if (work.has_gradient) {
            norm = whole_gradient(p, group, work, g, tie, rows, sum, s);
            if (group.rank() == 0) *squares += norm;
            if (p.clip_rows && sqrtf(norm) > s.clip_norm) factor = s.clip_norm / sqrtf(norm);
        }
        if (!p.measure && !(p.optimizer == OptimizerKind::LazyRowAdam && norm == 0))
            apply(p, group, work, g, tie, factor, rows, s);
    }
}

__device__ __forceinline__ void write_norm_part(const UpdateParams& p, double squares) {
    p.norm_parts[blockIdx.x] = p.accumulate ? p.norm_parts[blockIdx.x] + squares : squares;
}

// Adds the sums of the block's `parts` groups, [parts, ld].
__device__ __forceinline__ void write_bias_part(const UpdateParams& p, const float* sums, int parts) {
    for (int c = threadIdx.x; p.bias_parts && c < p.ld; c += blockDim.x) {
        float* to = p.bias_parts + row_start(blockIdx.x, p.ld) + c;
        float sum = p.accumulate ? *to : 0;
        for (int part = 0; part < parts; ++part) sum += sums[part * p.ld + c];
        *to = sum;
    }
}

constexpr int UPDATE_WARPS = 4;

// The squared norms of the warps, and their sums [ld].
constexpr int update_narrow_shared_bytes(int ld) { return UPDATE_WARPS * (8 + 4 * ld); }

template <int V, bool PLAIN> __device__ __forceinline__ void update_narrow(const UpdateParams& p) {
    if (p.scalars->abandoned) return;
    auto squares = &shared_memory<double>();                            // [warps]
    auto sums = reinterpret_cast<float*>(squares + UPDATE_WARPS);       // [warps, ld]
    int warp = threadIdx.x / 32;
    update_latents<V, PLAIN>(p, WarpGroup(), blockIdx.x * UPDATE_WARPS + warp, gridDim.x * UPDATE_WARPS,
                            sums + warp * p.ld, squares + warp);
    __syncthreads();
    write_bias_part(p, sums, UPDATE_WARPS);
    if (threadIdx.x != 0) return;
    double all = squares[0];
    for (int w = 1; w < UPDATE_WARPS; ++w) all += squares[w];
    write_norm_part(p, all);
}

struct alignas(128) UpdateWideShared {
    float scratch[16];          // one a warp
    double squares;
};
constexpr int update_wide_shared_bytes(int ld) { return sizeof(UpdateWideShared) + 4 * ld; }

template <int V, bool PLAIN, int AHEAD> __device__ __forceinline__ void update_wide(const UpdateParams& p) {
    if (p.scalars->abandoned) return;
    auto& s = shared_memory<UpdateWideShared>();                        // then the sum [ld]
    auto sum = reinterpret_cast<float*>(&s + 1);
    update_latents<V, PLAIN>(p, BlockGroup<AHEAD>{s.scratch}, blockIdx.x, gridDim.x, sum, &s.squares);
    __syncthreads();
    write_bias_part(p, sum, 1);
    if (threadIdx.x == 0) write_norm_part(p, s.squares);
}

// update_W, for rows of up to W columns
//   in      runs of entries, the code and its gradients, residuals and centred input in bf16, or the gradients of the
//           dense path; gradients of dead latents
//   out     weights, moments, averages; bias_parts and norm_parts by block; with `measure` the last two only
//   launch  grid blocks. W <= 768: block 128, a warp a latent, shared update_narrow_shared_bytes(ld). Up to 4096: a
//           block a latent, of max(ld, lo) / 8 threads in whole warps, beyond that of 256 threads; shared
//           update_wide_shared_bytes(ld)
//   needs   a fixed assignment: latent order[i] goes to group i % groups, so sums by group do not depend on the
//           schedule
//   cost    gathers run (lo + ld) 2 bytes; streams the moments and weights once: with split weights and float moments
//           (lo + ld) 24 bytes a latent
//   order   entries ascending, parts of 256 ascending, latents of a group in the order of `order`, groups of a block
//           ascending
// The launch bounds state all warps that a multiprocessor holds; UpdateKernel.cs computes the number of blocks from
// them.
SAE_KERNEL(update_256, UpdateParams, 128, 4) { update_narrow<1, true>(p); }
SAE_KERNEL(update_512, UpdateParams, 128, 3) { update_narrow<2, true>(p); }
SAE_KERNEL(update_768, UpdateParams, 128, 3) { update_narrow<3, true>(p); }
SAE_KERNEL(update_2560, UpdateParams, 320, 2) { update_wide<1, true, 2>(p); }
SAE_KERNEL(update_4096, UpdateParams, 512) { update_wide<1, true, 4>(p); }
SAE_KERNEL(update_general_4096, UpdateParams, 512) { update_wide<1, false, 2>(p); }
SAE_KERNEL(update_general_12288, UpdateParams, 256) { update_wide<6, false, 1>(p); }
