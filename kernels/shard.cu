// shard: the exchanges of ranks that hold parts of the latents. Collectives only move bytes and add integers; these
// kernels select and add floats, in an order that the ranks alone determine.
//
// A row has an owner. Every rank offers it the values of its k candidates. The owner keeps the best of all, and answers
// each rank with 4 + k bytes a row: the number of kept entries on lower ranks, then for each candidate 1 + its level,
// or 0 where it is not kept. The answers of a row begin at a multiple of 4.
#include "select.cuh"

constexpr int SHARD_RANKS = 64, SHARD_ACTIVE = 512;

__device__ __forceinline__ int answer_stride(int active) { return 4 + ((active + 3) & ~3); }

// shard_offer
//   in      code [B, k]
//   out     offers [P R, k]
//   launch  grid any, block 256
SAE_KERNEL(shard_offer, ShardOfferParams, 256) {
    const int64_t entries = int64_t(p.all_rows) * p.active, given = int64_t(p.rows) * p.active;
    const int64_t threads = int64_t(gridDim.x) * blockDim.x;
    for (int64_t e = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; e < entries; e += threads) {
        const bool candidate = e < given && p.index[e] >= 0 && (p.zeros || p.value[e] != 0);
        p.offers[e] = candidate ? p.value[e] : __uint_as_float(0x7fffffffu);
    }
}

struct ShardSelectShared {
    SelectScratch scratch;
    int by_rank[SHARD_RANKS];               // kept entries
    uint64_t kept[SHARD_ACTIVE];
};
constexpr int shard_select_shared_bytes() { return sizeof(ShardSelectShared); }

// The candidates of an owned row as keys: entry rank k + j, NaN is not a candidate.
struct RowOffers {
    const ShardSelectParams& p;
    int row;

    __device__ __forceinline__ uint64_t key(int entry) const {
        const float value = p.offers[(int64_t(entry / p.active) * p.rows_each + row) * p.active + entry % p.active];
        return value == value ? candidate_key(value, entry, p.magnitude) : 0;
    }
    __device__ __forceinline__ int count() const { return p.ranks * p.active; }

    // The number of keys that reach a bound. Successive calls alternate `turn`.
    __device__ __forceinline__ int reach(uint64_t bound, int turn, SelectScratch& s) const {
        int reached = 0;
        for (int i = threadIdx.x; i < count(); i += SELECT_THREADS) reached += key(i) >= bound;
        return select_sum(reached, turn, s);
    }
};

// As select_cutoff, for any number of keys in memory.
__device__ __forceinline__ uint64_t offers_cutoff(const RowOffers& offers, int want, SelectScratch& s) {
    uint64_t cutoff = 0;
    for (int bit = 63; bit >= 0; --bit) {
        const uint64_t trial = cutoff | 1ull << bit;
        const int reached = offers.reach(trial, bit & 1, s);
        if (reached >= want) cutoff = trial;
        if (reached == want) break;
    }
    return cutoff;
}

// shard_select: the best `keep` candidates of each owned row, of equal ones those of the lower latents
//   in      offers [P, R, k]
//   out     answers [P, R, 4 + k]
//   launch  grid R, block 128, shared sizeof(ShardSelectShared)
//   needs   keep <= 512, P <= 64; latents ascending by rank and within a row
//   cost    reads P k values a row, about 20 times, from the second-level cache
//   order   none: keys are distinct
SAE_KERNEL(shard_select, ShardSelectParams, SELECT_THREADS) {
    auto& s = shared_memory<ShardSelectShared>();
    const int row = blockIdx.x, stride = answer_stride(p.active);
    if (row >= p.owned) return;
    const RowOffers offers{p, row};
    int keep = p.keep;
    if (p.scalars && p.scalars->k > 0) keep = min(keep, int(p.scalars->k));
    const int present = offers.reach(1, 0, s.scratch);
    __syncthreads();                        // the next sums begin with any turn
    const uint64_t cutoff = present > keep ? offers_cutoff(offers, keep, s.scratch) : 1;
    __syncthreads();
    for (int r = threadIdx.x; r < p.ranks; r += SELECT_THREADS) s.by_rank[r] = 0;
    if (threadIdx.x == 0) {
        s.scratch.taken = 0;
        if (p.overflows && min(present, keep) == p.keep) atomicAdd(p.overflows, 1);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < offers.count(); i += SELECT_THREADS) {
        const uint64_t key = offers.key(i);
        if (key < cutoff) continue;
        atomicAdd(&s.by_rank[i / p.active], 1);
        s.kept[atomicAdd(&s.scratch.taken, 1)] = key;
    }
    __syncthreads();
    const int kept = s.scratch.taken;
    for (int i = threadIdx.x; i < offers.count(); i += SELECT_THREADS) {
        const uint64_t key = offers.key(i);
        int answer = 0;
        if (key >= cutoff) {
            int level = 0, larger = 0;
            for (int other = 0; p.levels > 1 && other < kept; ++other) larger += s.kept[other] > key;
            while (level < p.levels - 1 && larger >= p.budgets[level]) ++level;
            answer = 1 + level;
        }
        p.answers[(int64_t(i / p.active) * p.rows_each + row) * stride + 4 + i % p.active] = uint8_t(answer);
    }
    for (int r = threadIdx.x; r < p.ranks; r += SELECT_THREADS) {
        int before = 0;
        for (int lower = 0; lower < r; ++lower) before += s.by_rank[lower];
        *reinterpret_cast<int*>(p.answers + (int64_t(r) * p.rows_each + row) * stride) = before;
    }
}

// shard_apply: removes the entries that the owners did not keep
//   in      answers [P R, 4 + k]
//   out     index, value, level, place [B, k], each where it is given
//   launch  grid ceil(B / 8), block 256: a warp a row
SAE_KERNEL(shard_apply, ShardApplyParams, 256) {
    const int row = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= p.rows) return;
    const uint8_t* answers = p.answers + int64_t(row) * answer_stride(p.active);
    int before = row * p.active + *reinterpret_cast<const int*>(answers);
    for (int first = 0; first < p.active; first += 32) {
        const int j = first + lane;
        const int64_t e = int64_t(row) * p.active + j;
        const int answer = j < p.active ? answers[4 + j] : 0;
        const uint32_t kept = __ballot_sync(0xffffffffu, answer > 0);
        if (j < p.active) {
            if (answer == 0 && p.index) p.index[e] = -1;
            if (answer == 0 && p.value) p.value[e] = 0;
            if (p.level) p.level[e] = uint8_t(max(answer - 1, 0));
            if (p.place) p.place[e] = before + __popc(kept & ((1u << lane) - 1));
        }
        before += __popc(kept);
    }
}

// Adds the parts of one element in their order.
template <typename T> __device__ __forceinline__ T sum_of_parts(const ShardAddParams& p, int64_t at) {
    auto parts = static_cast<const T*>(p.parts) + at;
    T sum = parts[0];
#pragma unroll 4
    for (int i = 1; i < p.count; ++i) sum += parts[i * p.block];
    return sum;
}

// shard_add
//   in      parts [count, block] of the ranks of a machine, or of machines; base
//   out     sum [block]
//   launch  grid any, block 256
//   cost    reads count block floats, writes block
//   order   parts ascending, then the base
SAE_KERNEL(shard_add, ShardAddParams, 256) {
    const int64_t threads = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < p.block; i += threads) {
        float sum = sum_of_parts<float>(p, i);
        if (p.base) sum += p.base[(p.first + i) % p.base_length];
        static_cast<float*>(p.sum)[i] = sum;
    }
}

// shard_add_f64: as shard_add, in float64 and without a base
//   launch  grid any, block 256
SAE_KERNEL(shard_add_f64, ShardAddParams, 256) {
    const int64_t threads = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < p.block; i += threads)
        static_cast<double*>(p.sum)[i] = sum_of_parts<double>(p, i);
}

constexpr int shard_bias_shared_bytes() { return 32 * 8 * sizeof(double); }

// shard_bias: the sums of this rank's parts, for bias.cu on all ranks
//   launch  grid ld / 8 + 1, block 256, shared shard_bias_shared_bytes(); the last block adds the squared norms
//   order   parts by remainder of 32 ascending, remainders ascending; float64
SAE_KERNEL(shard_bias, ShardBiasParams, 256) {
    auto scratch = &shared_memory<double>();
    if (int(blockIdx.x) == p.ld / 8) {
        double squares = 0;
        for (int i = threadIdx.x; i < p.blocks; i += blockDim.x) squares += p.norm_parts[i];
        squares = block_sum(squares, scratch);
        if (threadIdx.x == 0) p.sums[p.ld] = squares;
        return;
    }
    const int column = threadIdx.x % 8, group = threadIdx.x / 8, c = blockIdx.x * 8 + column;
    double sum = 0;
    if (p.bias_parts)
        for (int i = group; i < p.blocks; i += 32) sum += p.bias_parts[int64_t(i) * p.ld + c];
    scratch[group * 8 + column] = sum;
    __syncthreads();
    if (group != 0) return;
    sum = 0;
    for (int g = 0; g < 32; ++g) sum += scratch[g * 8 + column];
    p.sums[c] = sum;
}

// shard_room: marks a batch if a row has more entries than the capacity, counted over all ranks
//   in      count [B] of all ranks
//   out     row_near = min(count, capacity); *overflows = rows over capacity, which set `abandoned`
//   launch  grid any, block 256
SAE_KERNEL(shard_room, ShardRoomParams, 256) {
    for (int row = blockIdx.x * blockDim.x + threadIdx.x; row < p.rows; row += gridDim.x * blockDim.x) {
        const int count = p.count[row];
        p.row_near[row] = min(count, p.capacity);
        if (count <= p.capacity) continue;
        atomicAdd(p.overflows, 1);
        p.scalars->abandoned = 1;
    }
}

// shard_sums: what a step measured of the latents of all ranks
//   in      ranks_sums [P]
//   out     overflows and pre-activation loss in *sums
//   launch  grid 1, block 32
//   order   ranks ascending
SAE_KERNEL(shard_sums, ShardSumsParams, 32) {
    if (threadIdx.x != 0) return;
    StepSums& s = *p.sums;
    int64_t overflows = 0;
    double pre_act = 0;
    for (int r = 0; r < p.ranks; ++r) {
        const StepSums& own = p.ranks_sums[r];
        overflows += own.overflows;
        pre_act += own.pre_act;
    }
    if (!p.same_overflows) s.overflows = overflows;
    s.pre_act = pre_act;
}

// shard_audit: adds an audit of screening over all ranks to those before it
//   in      own: misses of all ranks, and the largest shortfall of any rank
//   out     *audit
//   launch  grid 1, block 32
SAE_KERNEL(shard_audit, ShardAuditParams, 32) {
    if (threadIdx.x != 0) return;
    p.audit->audits += p.own->audits;
    p.audit->misses += p.own->misses;
    p.audit->shortfall = max(p.audit->shortfall, p.own->shortfall);
    p.audit->step = p.own->step;
}
