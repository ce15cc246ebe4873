// decode: reconstruction, residual, loss and the code's gradient, from one gather of the selected decoder rows.
#include "common.cuh"

// decode
//   in      code [B, k], w_dec [n, ld], b_dec, x [B, ld]
//   out     residual e = xhat - x [B, ld] f32 and bf16, value_grad [B, k] = 2 loss_scale <e, w_dec> where value > 0, else 0;
//           |e|^2, |x|^2 and the count of values > 0 by row
//   launch  grid B, block 256, shared slice k 2 + slice 4 + k 12 + 64 bytes
//   needs   pitch % slice == 0, slice % 64 == 0
//   cost    k ld 2 bytes a row, once: a slice of all k rows is held in shared memory for both uses, because the residual
//           at a column depends on that column alone
//   order   fixed: sums by thread, then by warp tree
SAE_KERNEL(decode, DecodeParams, 256) {
    unsigned char* shared = &shared_memory<unsigned char>();
    auto scratch = reinterpret_cast<float*>(shared);                    // [16]
    auto e_slice = scratch + 16;                                        // [slice]
    auto values = e_slice + p.slice;                                    // [k]
    auto rows = reinterpret_cast<int*>(values + p.active);              // [k]
    auto dots = reinterpret_cast<float*>(rows + p.active);              // [k]
    auto w = reinterpret_cast<bf16_bits*>((reinterpret_cast<uintptr_t>(dots + p.active) + 15) & ~uintptr_t(15));   // [k, slice]
    size_t row = blockIdx.x;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    int fired = 0;
    for (int j = threadIdx.x; j < p.active; j += blockDim.x) {
        values[j] = p.value[row * p.active + j];
        rows[j] = p.index[row * p.active + j];
        dots[j] = 0;
        fired += values[j] > 0;
    }
    float error = 0, norm = 0;
    for (int column = 0; column < p.pitch; column += p.slice) {
        __syncthreads();
        int vectors = p.slice / 8;
        for (int t = threadIdx.x; t < p.active * vectors; t += blockDim.x) {
            int j = t / vectors, c = t % vectors * 8;
            if (values[j] > 0) *reinterpret_cast<uint4*>(w + j * p.slice + c) = *reinterpret_cast<const uint4*>(p.w_dec + size_t(rows[j]) * p.pitch + column + c);
        }
        __syncthreads();
        for (int c = threadIdx.x; c < p.slice; c += blockDim.x) {
            float xhat = p.b_dec[column + c], x = p.x[row * p.pitch + column + c];
            for (int j = 0; j < p.active; ++j)
                if (values[j] > 0) xhat += values[j] * bf16_to_float(w[j * p.slice + c]);
            float e = xhat - x;
            e_slice[c] = e;
            p.residual[row * p.pitch + column + c] = e;
            p.residual_bf16[row * p.pitch + column + c] = float_to_bf16(e);
            error += e * e;
            norm += x * x;
        }
        __syncthreads();
        for (int j = warp; j < p.active; j += warps) {
            if (!(values[j] > 0)) continue;
            float dot = 0;
            for (int c = lane; c < p.slice; c += 32) dot += e_slice[c] * bf16_to_float(w[j * p.slice + c]);
            dot = warp_sum(dot);
            if (lane == 0) dots[j] += dot;
        }
    }
    __syncthreads();
    float scale = 2 * p.scalars->loss_scale;
    for (int j = threadIdx.x; j < p.active; j += blockDim.x) p.value_grad[row * p.active + j] = scale * dots[j];
    error = block_sum(error, scratch);
    norm = block_sum(norm, scratch);
    float active = block_sum(float(fired), scratch);
    if (threadIdx.x == 0) {
        p.row_error[row] = error;
        p.row_norm[row] = norm;
        p.row_active[row] = int(active);
    }
}
