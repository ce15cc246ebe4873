// encode_f32: pre-activations in float32 from the full weights and x - b_dec, as a reference for the tensor cores'
// path. It is not fast.
#include "select.cuh"

constexpr int F32_TILE = 32;

struct EncodeF32Shared {
    float x[F32_TILE][F32_TILE + 1];
    float w[F32_TILE][F32_TILE + 1];
};
constexpr int encode_f32_shared_bytes() { return sizeof(EncodeF32Shared); }

// encode_f32: columns [begin, end), all kept
//   in      x [B, ld] f32, b_dec [ld] f32 or null, w_enc_hi and w_enc_lo [., ld] (joined to f32), b_enc f32
//   out     candidates [B, stride] at offset + c - begin; *overflows = 0
//   launch  grid (ceil((end - begin) / 32), ceil(B / 32)), block 256, shared sizeof(EncodeF32Shared) = 8448
//   needs   ld % 32 == 0, offset + end - begin <= stride
//   order   K ascending, one fused multiply-add an element
SAE_KERNEL(encode_f32, EncodeF32Params, 256) {
    auto& s = shared_memory<EncodeF32Shared>();
    if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) *p.overflows = 0;
    const int end = p.column_count ? min(p.end, *p.column_count) : p.end;
    const int begin = p.begin + blockIdx.x * F32_TILE, row_begin = blockIdx.y * F32_TILE;
    if (begin >= end) return;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;    // a thread owns column `lane` of rows warp + 8 i
    float sums[4] = {};
    for (int k = 0; k < p.ld; k += F32_TILE) {
        for (int i = warp; i < F32_TILE; i += 8) {
            int row = row_begin + i, column = begin + i;
            s.x[i][lane] =
                row < p.rows ? p.x[int64_t(row) * p.ld + k + lane] - (p.b_dec ? p.b_dec[k + lane] : 0.0f) : 0.0f;
            float weight = 0;
            if (column < end) {
                int64_t at = int64_t(p.column_rows ? p.column_rows[column] : column) * p.ld + k + lane;
                weight = p.w_enc_lo ? join_float(p.w_enc_hi[at], p.w_enc_lo[at]) : bf16_to_float(p.w_enc_hi[at]);
            }
            s.w[i][lane] = weight;
        }
        __syncthreads();
        for (int j = 0; j < F32_TILE; ++j)
            for (int i = 0; i < 4; ++i) sums[i] = fmaf(s.x[warp + 8 * i][j], s.w[lane][j], sums[i]);
        __syncthreads();
    }
    const int column = begin + lane;
    if (column >= end) return;
    const float bias = p.b_enc[p.column_rows ? p.column_rows[column] : column];
    for (int i = 0; i < 4; ++i) {
        int row = row_begin + warp + 8 * i;
        if (row < p.rows)
            p.candidates[int64_t(row) * p.stride + p.offset + column - p.begin] =
                candidate_key(sums[i] + bias, column, p.magnitude);
    }
}
