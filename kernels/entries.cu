// entries: back-propagates dL/dvalue to each latent's bias, norm, threshold and gate parameters.
#include "activation.cuh"
#include "vector.cuh"

// entry_penalty: row_penalty [B, 2] = penalties of a row's entries, with this step's power and the next
//   launch  grid B, block 128, shared block_sum_shared_bytes()
SAE_KERNEL(entry_penalty, EntriesParams, 128) {
    auto scratch = &shared_memory<double>();
    const size_t row = blockIdx.x;
    const int count = p.row_count ? p.row_count[row] : p.active;
    const auto& s = *p.scalars;
    double now = 0, next = 0;
    for (int j = threadIdx.x; j < count; j += blockDim.x) {
        size_t e = row * p.active + j;
        float f = p.loss.selection == SelectionCode::Gated ? p.pre_act[e] : p.value[e];
        if (!(f > 0)) continue;
        float omega = p.latents[p.index[e]].omega;
        now += penalty_value(f, omega, s.power, p.loss);
        if (p.loss.penalty == PenaltyCode::Lp) next += penalty_value(f, omega, s.next_power, p.loss);
    }
    now = block_sum(now, scratch);
    next = block_sum(next, scratch);
    if (threadIdx.x == 0) {
        p.row_penalty[2 * row] = now;
        p.row_penalty[2 * row + 1] = next;
    }
}

// step_penalty: lambda, or the slope of lambda (L0 / target - 1)^2, which needs the batch's L0
//   launch  grid 1, block 256, shared block_sum_shared_bytes()
SAE_KERNEL(step_penalty, StepPenaltyParams, 256) {
    auto scratch = &shared_memory<double>();
    double active = 0;
    for (int row = threadIdx.x; row < p.rows; row += blockDim.x) active += p.row_active[row];
    active = block_sum(active, scratch);
    if (threadIdx.x != 0) return;
    float lambda = p.scalars->penalty;
    *p.step_penalty = p.loss.penalty == PenaltyCode::L0 ? lambda
        : p.loss.penalty == PenaltyCode::TargetL0
            ? float(lambda * 2 * (active / p.rows / p.loss.target - 1) / p.loss.target) : 0;
}

// entry_gradients: gradient [B, k]; value_grad becomes its part by <w, x - b_dec>
//   launch  grid any, block 256
SAE_KERNEL(entry_gradients, EntriesParams, 256) {
    size_t entries = size_t(p.rows) * p.active;
    for (size_t e = size_t(blockIdx.x) * blockDim.x + threadIdx.x; e < entries; e += size_t(gridDim.x) * blockDim.x) {
        size_t row = e / p.active;
        EntryGradient g = {};
        bool paired = p.loss.selection >= SelectionCode::JumpRelu;
        if ((p.row_count ? int(e % p.active) < p.row_count[row] : true) && (p.value[e] != 0 || paired)) {
            float z = p.pre_act ? p.pre_act[e] : p.value[e];
            g = entry_gradient(z, p.value[e], p.value_grad[e], p.gate_grad ? p.gate_grad[e] : 0, p.latents[p.index[e]],
                               *p.scalars, *p.step_penalty, p.loss);
        }
        p.gradient[e] = g;
        p.value_grad[e] = g.input;
    }
}

constexpr int input_sum_shared_bytes() { return 32 * 64 * sizeof(float); }

// input_sum: sum_b x_centered
//   launch  grid ld / 64, block 256, shared input_sum_shared_bytes(); 32 groups of eight threads
//   order   rows ascending, then groups
SAE_KERNEL(input_sum, InputSumParams, 256) {
    auto parts = &shared_memory<float>();                   // [32, 64]
    int group = threadIdx.x / 8, column = threadIdx.x % 8 * 8;
    float sum[8] = {};
#pragma unroll 8
    for (int row = group; row < p.rows; row += 32)
        add_scaled8(sum, 1, load_bf16x8(p.x_centered + size_t(row) * p.ld + blockIdx.x * 64 + column));
    store8(parts + group * 64 + column, sum);
    __syncthreads();
    if (threadIdx.x >= 64) return;
    float total = 0;
    for (int g = 0; g < 32; ++g) total += parts[g * 64 + threadIdx.x];
    p.input_sum[blockIdx.x * 64 + threadIdx.x] = total;
}

__device__ __forceinline__ void add(EntryGradient& sum, const EntryGradient& g) {
    sum.input += g.input;
    sum.bias += g.bias;
    sum.norm += g.norm;
    sum.threshold += g.threshold;
    sum.mag += g.mag;
    sum.scale += g.scale;
}

// latent_sums
//   in      gradients of the entries by latent (sparse path), or their sums (dense path)
//   out     sums [n], with the pre-activation loss added in closed form: as if z were below theta on all rows; the
//           entries subtracted the other rows
//   launch  grid any, block 256: a warp a latent
//   order   entries by lane, then by warp tree
SAE_KERNEL(latent_sums, LatentSumsParams, 256) {
    int lane = threadIdx.x % 32, warps = gridDim.x * (blockDim.x / 32);
    for (int f = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; f < p.count; f += warps) {
        const LatentScalars l = p.latents[f];
        EntryGradient sum = {};
        int above = 0;
        float gap = 0;
        if (p.start) {
            for (uint32_t at = uint32_t(p.start[f]) + lane; at < uint32_t(p.start[f + 1]); at += 32) {
                uint32_t e = p.entry[at];
                add(sum, p.gradient[e]);
                if (l.pre_act > 0 && p.pre_act[e] >= l.theta) {
                    above++;
                    gap += l.theta - p.pre_act[e];
                }
            }
            sum.input = warp_sum(sum.input);
            sum.bias = warp_sum(sum.bias);
            sum.norm = warp_sum(sum.norm);
            sum.threshold = warp_sum(sum.threshold);
            sum.mag = warp_sum(sum.mag);
            sum.scale = warp_sum(sum.scale);
            above = int(warp_sum(float(above)));
            gap = warp_sum(gap);
        } else {
            sum = p.sums[f];
            if (p.above) {
                above = p.above[f];
                gap = p.above_gap[f];
            }
        }
        double loss = 0;
        if (l.pre_act > 0) {
            float dot = 0;
            for (int c = lane * 8; c < p.ld; c += 256) {
                float all[8];
                load8(all, p.input_sum + c);
                dot += dot8(all, load_bf16x8(p.w_enc + size_t(f) * p.ld + c));
            }
            dot = warp_sum(dot);
            double all = p.rows * (double(l.theta) - p.b_enc[f]) - dot - gap;
            float slope = l.pre_act * l.norm;
            int below = p.rows - above;
            loss = all * l.norm;
            sum.base = slope;
            sum.input -= slope * p.rows;                    // the entries already subtracted their part
            sum.bias -= slope * below;
            sum.norm += float(l.pre_act * all);
            sum.threshold += slope * below * (p.loss.form == ThresholdForm::Direct ? 1 : l.theta);
        }
        if (lane != 0) continue;
        p.sums[f] = sum;
        if (p.pre_act_loss) p.pre_act_loss[f] = loss;
    }
}
