// levels: the first nested reconstruction that holds each entry of the code.
#include "common.cuh"

constexpr int LEVELS_THREADS = 128, LEVELS_MAX_ACTIVE = 512;

struct LevelsShared { float value[LEVELS_MAX_ACTIVE]; };
constexpr int levels_shared_bytes() { return sizeof(LevelsShared); }

// levels
//   in      index [B, k], value [B, k], budgets or scalars->prefix
//   out     level [B, k]: the first m with rank < budgets[m], where the rank is by (value descending, lower latent
//           first); or the first m with latent < prefix[m]; else the last
//   launch  grid B, block 128, shared sizeof(LevelsShared) = 2048
//   needs   k <= 512, latents ascending in a row
//   cost    by rank k^2 comparisons a row
SAE_KERNEL(levels, LevelsParams, LEVELS_THREADS) {
    auto& s = shared_memory<LevelsShared>();
    const int64_t row = int64_t(blockIdx.x) * p.active;
    if (p.by_rank) {
        for (int i = threadIdx.x; i < p.active; i += LEVELS_THREADS) s.value[i] = p.value[row + i];
        __syncthreads();
    }
    for (int i = threadIdx.x; i < p.active; i += LEVELS_THREADS) {
        int m = 0;
        if (p.by_rank) {
            const float value = s.value[i];
            int rank = 0;
            for (int other = 0; other < p.active; ++other)
                rank += s.value[other] > value || (s.value[other] == value && other < i);
            while (m < p.levels - 1 && rank >= p.budgets[m]) ++m;
        } else {
            const uint32_t latent = uint32_t(p.first + p.index[row + i]);
            while (m < p.levels - 1 && latent >= p.scalars->prefix[m]) ++m;
        }
        p.level[row + i] = uint8_t(m);
    }
}
