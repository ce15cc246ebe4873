// rescore: the pre-activations of the columns that screen.cu did not rule out, from the bf16 operands; and the audit of
// those that it ruled out.
#include "mma_tile.cuh"
#include "select.cuh"

constexpr int RESCORE_WARPS = 4, RESCORE_STAGES = 4, RESCORE_K = 64, RESCORE_GROUP = 8;

struct RescoreShared {
    bf16_bits w[RESCORE_WARPS][RESCORE_STAGES][RESCORE_GROUP * RESCORE_K];      // chunk c of row r at c ^ r
    uint32_t x[1];                                                              // [ld / 2] pairs
};
constexpr int rescore_shared_bytes(int ld) { return offsetof(RescoreShared, x) + ld * sizeof(bf16_bits); }

// A lane copies one 16-byte chunk of rows lane / 8 and lane / 8 + 4 at every step.
struct RescoreSource { const bf16_bits* row[2]; uint32_t valid; };

__device__ __forceinline__ void rescore_copy(const RescoreSource& from, int k, bf16_bits* stage) {
    const int lane = threadIdx.x % 32;
    for (int i = 0; i < 2; ++i) {
        const int row = lane / 8 + 4 * i, chunk = lane % 8 ^ row;
        cp_async16(stage + row * RESCORE_K + chunk * 8, from.row[i] + k, from.valid >> i & 1 ? 16 : 0);
    }
}

// Multiplies 16 of K. The row stands in all 16 rows of A, so every lane's sums are those of columns 2 (lane % 4) and 2
// (lane % 4) + 1.
__device__ __forceinline__ void rescore_product(float (&sums)[4], const uint32_t* x, uint32_t b0, uint32_t b1) {
    const uint32_t low = x[threadIdx.x % 4], high = x[threadIdx.x % 4 + 4];
    const uint32_t a[4] = {low, low, high, high};
    mma_bf16_16816(sums, a, b0, b1);
}

// Multiplies eight survivors of a row with it: tensor-core products of 16 along K in ascending order, starting from the
// bias. This is encode's order, bit for bit.
__device__ __forceinline__ void rescore_group(const RescoreSource& from, int ld,
                                              bf16_bits (&ring)[RESCORE_STAGES][RESCORE_GROUP * RESCORE_K],
                                              const uint32_t* x, float (&sums)[4]) {
    const int steps = ld / RESCORE_K, lane = threadIdx.x % 32;
    for (int step = 0; step < RESCORE_STAGES - 1; ++step) {
        if (step < steps) rescore_copy(from, step * RESCORE_K, ring[step]);
        cp_async_commit();
    }
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        const int ahead = step + RESCORE_STAGES - 1;
        cp_async_wait<RESCORE_STAGES - 2>();
        __syncwarp();           // every lane's bytes have arrived, and the stage of step - 1 has been read
        if (ahead < steps) rescore_copy(from, ahead * RESCORE_K, ring[ahead % RESCORE_STAGES]);
        cp_async_commit();
        for (int half = 0; half < 2; ++half) {
            uint32_t b[4];
            ldmatrix_x4(b, ring[step % RESCORE_STAGES] + lane % 8 * RESCORE_K
                        + ((half * 4 + lane / 8) ^ (lane % 8)) * 8);
            const uint32_t* pairs = x + step * (RESCORE_K / 2) + half * 16;
            rescore_product(sums, pairs, b[0], b[1]);
            rescore_product(sums, pairs + 8, b[2], b[3]);
        }
    }
    cp_async_wait<0>();
    __syncwarp();
}

// rescore
//   in      candidates [B, stride]: columns at positions [first, count); x_centered, w_enc, b_enc as in encode
//   out     their keys at the same positions; rows over capacity are unchanged
//   launch  grid B, block 128, shared rescore_shared_bytes(ld)
//   needs   ld % 64 == 0, padding of both operands zero
//   cost    gathers 2 ld bytes a survivor: bandwidth; the tensor cores do 16 times the products needed, and are still
//           not the bottleneck
//   order   K ascending in steps of 16, as in encode: the same bits from the same kind of tensor-core instruction
SAE_KERNEL(rescore, RescoreParams, RESCORE_WARPS * 32) {
    auto& s = shared_memory<RescoreShared>();
    const int64_t row = blockIdx.x;
    const int count = p.count[row], warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    if (count > p.capacity || count <= p.first) return;
    auto pairs = reinterpret_cast<const uint32_t*>(p.x_centered + row * p.ld);
    for (int i = threadIdx.x; i < p.ld / 2; i += blockDim.x) s.x[i] = pairs[i];
    __syncthreads();
    uint64_t* candidates = p.candidates + row * p.stride;
    for (int begin = p.first + warp * RESCORE_GROUP; begin < count; begin += RESCORE_WARPS * RESCORE_GROUP) {
        // every eighth lane holds the same
        const int own = begin + lane % 8 < count ? int(candidates[begin + lane % 8]) : -1;
        RescoreSource from;
        from.valid = 0;
        for (int i = 0; i < 2; ++i) {
            const int column = __shfl_sync(0xffffffffu, own, lane / 8 + 4 * i);
            from.row[i] = p.w_enc + size_t(max(column, 0)) * p.ld + lane % 8 * 8;
            from.valid |= uint32_t(column >= 0) << i;
        }
        float sums[4];
        for (int i = 0; i < 2; ++i) {
            const int column = __shfl_sync(0xffffffffu, own, lane % 4 * 2 + i);
            sums[i] = sums[i + 2] = column >= 0 ? p.b_enc[column] : 0;
        }
        rescore_group(from, p.ld, s.w[warp], s.x, sums);
        const float value = __shfl_sync(0xffffffffu, sums[0], lane % 8 / 2);
        const float next = __shfl_sync(0xffffffffu, sums[1], lane % 8 / 2);
        if (lane < 8 && own >= 0) candidates[begin + lane] = candidate_key(lane % 2 ? next : value, own, p.magnitude);
        __syncwarp();
    }
}

struct ScreenAuditShared { float least[RESCORE_WARPS]; };
constexpr int screen_audit_shared_bytes() { return sizeof(ScreenAuditShared); }

// Whether a code [k], ascending, holds a column.
__device__ __forceinline__ bool holds(const int* index, int active, int column) {
    int low = 0, high = active;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (index[middle] < column) low = middle + 1; else high = middle;
    }
    return low < active && index[low] == column;
}

// screen_audit: compares the screened code with encode's
//   in      both codes of this step, ascending in latents
//   out     audit: counts the step, and the entries of encode's code that the screened code lacks and whose values
//           exceed those in their place by more than two such sums can differ by rounding; the largest such excess
//   launch  grid B, block 128, shared sizeof(ScreenAuditShared)
//   order   integer counts and a maximum: any
SAE_KERNEL(screen_audit, ScreenAuditParams, RESCORE_WARPS * 32) {
    auto& s = shared_memory<ScreenAuditShared>();
    const int64_t row = blockIdx.x, first = row * p.active;
    float least = __int_as_float(0x7f800000);           // of the entries that took the place of others
    for (int i = threadIdx.x; i < p.active; i += blockDim.x)
        if (!holds(p.exact_index + first, p.active, p.index[first + i]))
            least = fminf(least, fabsf(p.value[first + i]));
    for (int offset = 16; offset > 0; offset >>= 1) least = fminf(least, __shfl_xor_sync(0xffffffffu, least, offset));
    if (threadIdx.x % 32 == 0) s.least[threadIdx.x / 32] = least;
    __syncthreads();
    for (int w = 0; w < RESCORE_WARPS; ++w) least = fminf(least, s.least[w]);
    for (int i = threadIdx.x; i < p.active; i += blockDim.x) {
        const int column = p.exact_index[first + i];
        const float excess = fabsf(p.exact_value[first + i]) - least;
        if (!(excess > 0) || holds(p.index + first, p.active, column)) continue;
        const float rounding = 2 * p.rounding * (p.x_row[row].norm * p.w_row[column].norm + fabsf(p.b_enc[column]));
        if (excess <= rounding) continue;
        atomicAdd(&p.audit->misses, 1);
        atomicMax(&p.audit->shortfall, __float_as_uint(excess));
    }
    if (row != 0 || threadIdx.x != 0) return;
    p.audit->audits += 1;
    p.audit->step = p.scalars->step;
}
