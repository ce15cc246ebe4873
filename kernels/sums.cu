// sums: the measurements of a step, in fixed order.
#include "spread.cuh"
#include "ticket.cuh"

// column_sums
//   in      residual, and the residual in the gradient of b_dec [B, lo]
//   out     their sums over rows [64 i, 64 (i + 1)), [blocks, lo]
//   launch  grid any, block 128: a warp takes 128 columns of 64 rows
//   cost    reads everything once, in 16-byte loads, those of eight rows in flight
//   order   rows ascending
SAE_KERNEL(column_sums, ColumnSumsParams, 128) {
    int across = (p.lo + 127) / 128, warps = gridDim.x * (blockDim.x / 32);
    for (int item = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; item < (p.rows + 63) / 64 * across;
         item += warps) {
        int block = item / across, c = (item % across * 32 + threadIdx.x % 32) * 4, first = block * 64;
        int last = min(first + 64, p.rows);
        if (c >= p.lo) continue;
        auto add = [](float4& sum, const float* from) {
            float4 v = *reinterpret_cast<const float4*>(from);
            sum.x += v.x; sum.y += v.y; sum.z += v.z; sum.w += v.w;
        };
        float4 e = {}, learned = {};
#pragma unroll 8
        for (int row = first; row < last; ++row) {
            size_t at = size_t(row) * p.lo + c;
            add(e, p.residual + at);
            if (p.weighted) add(learned, p.weighted + at);
            if (p.gate) add(learned, p.gate + at);
        }
        if (!p.weighted) learned = make_float4(learned.x + e.x, learned.y + e.y, learned.z + e.z, learned.w + e.w);
        size_t to = size_t(block) * p.lo + c;
        *reinterpret_cast<float4*>(p.residual_parts + to) = e;
        *reinterpret_cast<float4*>(p.weighted_parts + to) = learned;
    }
}

// column_spread
//   in      values [B, lo]
//   out     mean and sum of squared deviations of each column over rows [64 i, 64 (i + 1)), [blocks, lo]
//   launch  grid any, block 128: a warp takes 128 columns of 64 rows
//   cost    reads everything once, in 16-byte loads
//   order   rows ascending, in float64; deviations from the block's first row
SAE_KERNEL(column_spread, ColumnSpreadParams, 128) {
    const int across = (p.lo + 127) / 128, items = (p.rows + SPREAD_ROWS - 1) / SPREAD_ROWS * across;
    const int warps = blockDim.x / 32;
    for (int item = blockIdx.x * warps + threadIdx.x / 32; item < items; item += gridDim.x * warps) {
        const int block = item / across, c = (item % across * 32 + threadIdx.x % 32) * 4, from = block * SPREAD_ROWS;
        if (c >= p.lo) continue;
        const int count = min(SPREAD_ROWS, p.rows - from);
        const float4 first = *reinterpret_cast<const float4*>(p.values + size_t(from) * p.lo + c);
        double sum[4] = {}, squares[4] = {};
        auto add = [&](int i, float away) {
            sum[i] += away;
            squares[i] += double(away) * away;
        };
#pragma unroll 4
        for (int row = 1; row < count; ++row) {
            const float4 v = *reinterpret_cast<const float4*>(p.values + size_t(from + row) * p.lo + c);
            add(0, v.x - first.x); add(1, v.y - first.y); add(2, v.z - first.z); add(3, v.w - first.w);
        }
        const float start[4] = {first.x, first.y, first.z, first.w};
        const size_t to = size_t(block) * p.lo + c;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            p.means[to + i] = start[i] + sum[i] / count;
            p.spreads[to + i] = fmax(0.0, squares[i] - sum[i] * sum[i] / count);
        }
    }
}

constexpr int SUMS = 12, FULLEST = 10;

// Writes the step's StepSums from its totals, in the order of step_sums.
__device__ __forceinline__ void write_sums(const StepSumsParams& p, const double* total) {
    auto& s = *p.sums;
    double active = total[5];
    s.squared_error = total[0];
    s.squared_norm = total[1];
    s.spread = total[6];
    s.level_error = total[2];
    s.gate_error = total[3];
    s.reconstruction_norm = total[4];
    s.penalty = p.penalty == PenaltyCode::L0 ? active : p.penalty == PenaltyCode::TargetL0
        ? p.rows * (active / p.rows / p.target - 1) * (active / p.rows / p.target - 1) : total[7];
    s.next_penalty = total[8];
    s.pre_act = total[9];
    s.aux_squared_error = p.aux_sums ? p.aux_sums[0] : 0;
    s.aux_variance = p.aux_sums ? p.aux_sums[1] : 0;
    s.ghost = p.ghost ? *p.ghost : 0;
    s.gradient_norm = *p.gradient_norm;
    s.active = int64_t(active);
    s.overflows = 0;
    for (int i = 0; i < p.overflow_counts; ++i) s.overflows += p.overflows[i];
    s.dead = *p.dead_count;
    s.step = p.scalars->step;
    s.max_row = int(total[FULLEST]);
    s.dense = p.dense;
    s.threshold = p.threshold ? *p.threshold : 0;
    const ScreenAudit audit = p.screening ? *p.screening : ScreenAudit{};
    s.screening_audits = audit.audits;
    s.screening_misses = audit.misses;
    s.screening_shortfall = __uint_as_float(audit.shortfall);
}

constexpr int step_sums_shared_bytes() { return 16 * sizeof(double); }
static_assert(SUMS <= 16);

// step_sums
//   in      sums by row and by column block, counters
//   out     one StepSums
//   launch  grid any, block 256, shared step_sums_shared_bytes(); the block that finishes last adds up the parts of all
//           blocks
//   order   rows by thread, then by warp tree, then by block; float64
SAE_KERNEL(step_sums, StepSumsParams, 256) {
    auto scratch = &shared_memory<double>();
    double error = 0, norm = 0, level = 0, gate = 0, reconstruction = 0, active = 0, spread = 0;
    double penalty = 0, next = 0, pre_act = 0;
    int fullest = 0, thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    for (int row = thread; row < p.rows; row += threads) {
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
    for (int f = thread; p.pre_act_loss && f < p.latents; f += threads) pre_act += p.pre_act_loss[f];
    for (int c = thread; c < p.lo; c += threads) spread += spread_of_column(p.means, p.spreads, p.rows, p.lo, c);
    for (int offset = 16; offset > 0; offset >>= 1)
        fullest = max(fullest, __shfl_xor_sync(0xffffffffu, fullest, offset));
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
    spread = block_sum(spread, scratch);
    penalty = block_sum(penalty, scratch);
    next = block_sum(next, scratch);
    pre_act = block_sum(pre_act, scratch);
    if (threadIdx.x == 0) {
        const double own[SUMS] = {error, norm, level, gate, reconstruction, active, spread, penalty, next, pre_act,
                                  double(fullest), 0};
        for (int i = 0; i < SUMS; ++i) p.parts[blockIdx.x * SUMS + i] = own[i];
    }
    if (!last_block(p.ticket, reinterpret_cast<uint32_t*>(scratch))) return;
    if (threadIdx.x < SUMS) {
        double total = 0;
        for (int block = 0; block < int(gridDim.x); ++block) {
            double part = static_cast<volatile double*>(p.parts)[block * SUMS + threadIdx.x];
            total = threadIdx.x == FULLEST ? fmax(total, part) : total + part;
        }
        scratch[threadIdx.x] = total;
    }
    __syncthreads();
    if (threadIdx.x == 0) write_sums(p, scratch);
}
