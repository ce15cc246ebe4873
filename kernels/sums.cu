// sums: what a step measured, in fixed order.
#include "common.cuh"

// column_sums
//   in      residual, x [B, ld]
//   out     their sums over rows [64 i, 64 (i + 1)), [blocks, ld]
//   launch  grid blocks, block 256
SAE_KERNEL(column_sums, ColumnSumsParams, 256) {
    int first = blockIdx.x * 64, last = min(first + 64, p.rows);
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
        float e = 0, x = 0;
        for (int row = first; row < last; ++row) {
            e += p.residual[size_t(row) * p.pitch + c];
            x += p.x[size_t(row) * p.pitch + c];
        }
        p.residual_parts[size_t(blockIdx.x) * p.pitch + c] = e;
        p.x_parts[size_t(blockIdx.x) * p.pitch + c] = x;
    }
}

// step_sums
//   in      sums by row and by column block, counters
//   out     one StepSums
//   launch  grid 1, block 256, shared 64 bytes
//   order   rows by thread, then by warp tree; float64
SAE_KERNEL(step_sums, StepSumsParams, 256) {
    auto scratch = &shared_memory<double>();
    double error = 0, norm = 0, active = 0, mean = 0;
    for (int row = threadIdx.x; row < p.rows; row += blockDim.x) {
        error += p.row_error[row];
        norm += p.row_norm[row];
        active += p.row_active[row];
    }
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
        double sum = 0;
        for (int block = 0; block < p.blocks; ++block) sum += p.x_parts[size_t(block) * p.pitch + c];
        mean += sum * sum / p.rows;
    }
    error = block_sum(error, scratch);
    norm = block_sum(norm, scratch);
    active = block_sum(active, scratch);
    mean = block_sum(mean, scratch);
    if (threadIdx.x != 0) return;
    auto& s = *p.sums;
    s.squared_error = error;
    s.squared_norm = norm;
    s.squared_mean = mean;
    s.aux_squared_error = p.aux_sums ? p.aux_sums[0] : 0;
    s.aux_variance = p.aux_sums ? p.aux_sums[1] : 0;
    s.gradient_norm = *p.gradient_norm;
    s.active = int64_t(active);
    s.overflows = *p.overflows;
    s.dead = *p.dead_count;
    s.step = p.scalars->step;
}
