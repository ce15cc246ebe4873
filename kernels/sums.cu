// sums: what a step measured, in fixed order.
#include "common.cuh"

// column_sums
//   in      residual, what b_dec learns from, target [B, lo]
//   out     their sums over rows [64 i, 64 (i + 1)), [blocks, lo]
//   launch  grid blocks, block 256
SAE_KERNEL(column_sums, ColumnSumsParams, 256) {
    int first = blockIdx.x * 64, last = min(first + 64, p.rows);
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
        float e = 0, y = 0, learned = 0;
        for (int row = first; row < last; ++row) {
            size_t at = size_t(row) * p.pitch + c;
            e += p.residual[at];
            y += p.y[at];
            learned += p.weighted ? p.weighted[at] : p.residual[at];
            if (p.gate) learned += p.gate[at];
        }
        size_t to = size_t(blockIdx.x) * p.pitch + c;
        p.residual_parts[to] = e;
        p.weighted_parts[to] = learned;
        p.y_parts[to] = y;
    }
}

// step_sums
//   in      sums by row and by column block, counters
//   out     one StepSums
//   launch  grid 1, block 256, shared 64 bytes
//   order   rows by thread, then by warp tree; float64
SAE_KERNEL(step_sums, StepSumsParams, 256) {
    auto scratch = &shared_memory<double>();
    double error = 0, norm = 0, level = 0, gate = 0, reconstruction = 0, active = 0, mean = 0, penalty = 0, next = 0, pre_act = 0;
    int fullest = 0;
    for (int row = threadIdx.x; row < p.rows; row += blockDim.x) {
        error += p.row_error[row];
        norm += p.row_norm[row];
        level += p.row_level_error ? p.row_level_error[row] : p.row_error[row];
        if (p.row_gate_error) gate += p.row_gate_error[row];
        reconstruction += p.row_reconstruction[row];
        active += p.row_active[row];
        if (p.row_penalty) {
            penalty += p.row_penalty[2 * row];
            next += p.row_penalty[2 * row + 1];
        }
        fullest = max(fullest, p.row_near ? p.row_near[row] : p.row_active[row]);
    }
    for (int f = threadIdx.x; p.pre_act_loss && f < p.latents; f += blockDim.x) pre_act += p.pre_act_loss[f];
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
        double sum = 0;
        for (int block = 0; block < p.blocks; ++block) sum += p.y_parts[size_t(block) * p.pitch + c];
        mean += sum * sum / p.rows;
    }
    for (int offset = 16; offset > 0; offset >>= 1) fullest = max(fullest, __shfl_xor_sync(0xffffffffu, fullest, offset));
    double own = threadIdx.x % 32 == 0 ? fullest : 0;
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = own;
    __syncthreads();
    for (int w = 0; w < 8; ++w) fullest = max(fullest, int(scratch[w]));
    error = block_sum(error, scratch);
    norm = block_sum(norm, scratch);
    level = block_sum(level, scratch);
    gate = block_sum(gate, scratch);
    reconstruction = block_sum(reconstruction, scratch);
    active = block_sum(active, scratch);
    mean = block_sum(mean, scratch);
    penalty = block_sum(penalty, scratch);
    next = block_sum(next, scratch);
    pre_act = block_sum(pre_act, scratch);
    if (threadIdx.x != 0) return;
    auto& s = *p.sums;
    s.squared_error = error;
    s.squared_norm = norm;
    s.squared_mean = mean;
    s.level_error = level;
    s.gate_error = gate;
    s.reconstruction_norm = reconstruction;
    s.penalty = p.penalty == 4 ? active : p.penalty == 5 ? p.rows * (active / p.rows / p.target - 1) * (active / p.rows / p.target - 1) : penalty;
    s.next_penalty = next;
    s.pre_act = pre_act;
    s.aux_squared_error = p.aux_sums ? p.aux_sums[0] : 0;
    s.aux_variance = p.aux_sums ? p.aux_sums[1] : 0;
    s.ghost = p.ghost ? *p.ghost : 0;
    s.gradient_norm = *p.gradient_norm;
    s.active = int64_t(active);
    s.overflows = *p.overflows;
    s.dead = *p.dead_count;
    s.step = p.scalars->step;
    s.max_row = fullest;
    s.dense = p.dense;
    s.threshold = p.threshold ? *p.threshold : 0;
    const ScreenAudit audit = p.screening ? *p.screening : ScreenAudit{};
    s.screening_audits = audit.audits;
    s.screening_misses = audit.misses;
    s.screening_shortfall = __uint_as_float(audit.shortfall);
}
