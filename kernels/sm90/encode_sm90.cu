// encode_sm90: `encode` (encode.cu) on Hopper's asynchronous tensor cores. The first chunk of columns is kept whole, as
// in encode. One launch then sweeps all other columns (several launches for a large k), and the rows' limits rise while
// it runs (buckets.cuh), not between launches.
//
// A limit is at all times at most the k-th largest of the elements that were counted. The candidates therefore hold the
// k best, and select_final picks these whatever else is there: the code does not depend on the schedule. Whether a
// row's candidates fit its capacity does depend on it. A row that overflows is swept again (`encode_retry`,
// `second_sweep`) under its last limit, which no schedule changes: every element above the final edge passed and was
// counted, wherever the limits stood. A row that overflows again has more elements than its capacity above that edge,
// on every schedule; encode_exact handles it.
#include "../buckets.cuh"
#include "hopper_filter.cuh"

// The smallest value of a candidate. It is NaN, which no value reaches, where no value is a candidate. A limit is at
// least 1 here, and NaN's key is 0.
__device__ __forceinline__ float limit_value(uint32_t limit) {
    if (limit > 0xff800000u) return key_value(0);
    return limit <= 0x007fffffu ? -__int_as_float(0x7f800000) : key_value(limit);
}

// Sums start at the bias, so the epilogue adds nothing. Columns that do not exist start at NaN, which reaches no limit.
__device__ __forceinline__ void hopper_start_sums(const float* bias, HopperSums& sums) {
#pragma unroll
    for (int j = 0; j < 32; ++j) {
        const float2 two = *reinterpret_cast<const float2*>(bias + 8 * j + hopper_column());
        sums[4 * j] = sums[4 * j + 2] = two.x;
        sums[4 * j + 1] = sums[4 * j + 3] = two.y;
    }
}

template <bool magnitude> __device__ __forceinline__ float hopper_size(float z) { return magnitude ? fabsf(z) : z; }

// The common path takes 15 maxima and one comparison for 16 values.
template <bool magnitude>
__device__ __forceinline__ void hopper_compare(const HopperSums& sums, const float (&threshold)[2],
                                               HopperReached& reached) {
#pragma unroll
    for (int row_half = 0; row_half < 2; ++row_half)
#pragma unroll
        for (int group = 0; group < 4; ++group) {
            float largest = hopper_size<magnitude>(sums[hopper_index(group, row_half, 0)]);
#pragma unroll
            for (int i = 1; i < 16; ++i)
                largest = fmaxf(largest, hopper_size<magnitude>(sums[hopper_index(group, row_half, i)]));
            if (!(largest >= threshold[row_half])) continue;
            uint32_t bits = 0;
#pragma unroll
            for (int i = 0; i < 16; ++i) {
                const float size = hopper_size<magnitude>(sums[hopper_index(group, row_half, i)]);
                bits |= uint32_t(size >= threshold[row_half]) << i;
            }
            reached.row[row_half] |= uint64_t(bits) << 16 * group;
        }
}

// Appends a tile's candidates to their rows' lists, counts them in the buckets, and computes a new limit after every k
// / 2 candidates.
__device__ __forceinline__ void hopper_filter(const HopperSums& sums, const float (&threshold)[2], int row_begin,
                                              int begin, float* slot, const EncodeSm90Params& p) {
    const EncodeParams& e = p.encode;
    HopperReached reached;
    if (e.magnitude) hopper_compare<true>(sums, threshold, reached);
    else hopper_compare<false>(sums, threshold, reached);
    if (!__any_sync(0xffffffffu, (reached.row[0] | reached.row[1]) != 0)) return;

    const int every = max(p.active / 2, 8);
    int raise = -1;
    HopperPositions positions = hopper_reserve(reached, e.count, row_begin, [&](int row, int old, int added) {
        if (old / every != (old + added) / every) raise = row;
    });
    float origin[2] = {}, scale[2] = {};
#pragma unroll
    for (int row_half = 0; row_half < 2; ++row_half)
        if (p.buckets && reached.row[row_half] != 0) {
            const RowBuckets& buckets = p.buckets[row_begin + hopper_row(row_half)];
            origin[row_half] = buckets.origin, scale[row_half] = buckets.scale;
        }
    hopper_emit(sums, reached, slot, [&](int row_half, int column, float z) {
        const int64_t row = row_begin + hopper_row(row_half);
        const int position = positions.next[row_half]++;
        if (position < e.capacity)
            e.candidates[row * e.stride + position] = candidate_key(z, begin + column, e.magnitude);
        if (!p.buckets) return;
        const float size = e.magnitude ? fabsf(z) : z;
        atomicAdd(&p.buckets[row].count[bucket_of(size, origin[row_half], scale[row_half])], 1);
    });
    if (p.buckets && raise >= 0) atomicMax(e.limit + raise, bucket_limit(p.buckets[raise], p.active));
}

// Stores the whole tile: column c of a row goes to candidates[c - first]. Two neighbours are one 16-byte store where
// the row is aligned; with an odd stride every second row is not.
__device__ __forceinline__ void hopper_store(const HopperSums& sums, int row_begin, int begin, const EncodeParams& e) {
#pragma unroll
    for (int row_half = 0; row_half < 2; ++row_half) {
        const int row = row_begin + hopper_row(row_half);
        if (row >= e.rows) continue;
        uint64_t* to = e.candidates + int64_t(row) * e.stride + (begin - e.begin) + hopper_column();
        const bool aligned = reinterpret_cast<uintptr_t>(to) % 16 == 0;
#pragma unroll
        for (int j = 0; j < 32; ++j) {
            const int column = begin + 8 * j + hopper_column();
            const uint64_t first = candidate_key(sums[4 * j + 2 * row_half], column, e.magnitude);
            const uint64_t second = candidate_key(sums[4 * j + 2 * row_half + 1], column + 1, e.magnitude);
            if (aligned && column + 1 < e.end) *reinterpret_cast<ulonglong2*>(to + 8 * j) = {first, second};
            else {
                if (column < e.end) to[8 * j] = first;
                if (column + 1 < e.end) to[8 * j + 1] = second;
            }
        }
    }
}

// The tiles of a consumer warpgroup: it forms the sums, then filters or stores them.
__device__ __forceinline__ void encode_consume(HopperShared& s, const HopperWork& w, const EncodeSm90Params& p) {
    const EncodeParams& e = p.encode;
    float* slot = s.slots[threadIdx.x - 128];
    PipelineState<HOPPER_STAGES> state;
    PipelineState<2> column_state;
    hopper_for_each_tile(w, [&](int row_begin, int begin) {
        float threshold[2];       // read for every tile, past the first-level cache: other blocks raise limits
#pragma unroll
        for (int row_half = 0; row_half < 2; ++row_half) {
            const int row = row_begin + hopper_row(row_half);
            threshold[row_half] = limit_value(!e.dense && row < e.rows ? __ldcg(e.limit + row) : 0xffffffffu);
        }
        HopperSums sums;
        mbarrier_wait(&s.column_full_barriers[column_state.stage_idx], column_state.phase);
        hopper_start_sums(s.bias[column_state.stage_idx], sums);
        mbarrier_arrive(&s.column_empty_barriers[column_state.stage_idx]);
        column_state.advance();
        hopper_multiply(s, w, state, sums);
        if (e.dense) hopper_store(sums, row_begin, begin, e);
        else hopper_filter(sums, threshold, row_begin, begin, slot, p);
    });
}

// encode_sm90: candidates of columns [begin, end)
//   in      x_centered and w_enc as tensor maps, b_enc f32, limit [B], buckets [B]
//   out     candidates [B, stride], count [B], raised limit and buckets; dense: candidates at c - begin, *overflows =
//           0, retry[0] = 0
//   launch  grid a multiple of `cluster`, at most one block a multiprocessor; block 384, cluster 1 or 2, shared
//           sizeof(HopperShared)
//   needs   ld % 64 == 0, padding of both operands zero, limit >= 1 (k elements were counted before), dense: end -
//           begin <= stride
//   cost    2 B (end - begin) ld flops; bound by the tensor cores
//   order   candidates of a row come in any order; which ones beyond the k best depends on the schedule. Sums are taken
//           in ascending K, 16 numbers an instruction, as in encode. Inside an instruction wgmma and mma.sync promise
//           no common order: on a device the last bits of a sum may differ from encode's; on the emulator they do not.
SAE_KERNEL(encode_sm90, EncodeSm90Params, HOPPER_THREADS) {
    auto& s = shared_memory<HopperShared>();
    const EncodeParams& e = p.encode;
    if (p.second_sweep && p.retry[0] == 0) return;
    if (e.dense && blockIdx.x == 0 && threadIdx.x == 0) {
        *e.overflows = 0;
        if (p.retry) p.retry[0] = 0;
    }
    const HopperWork work{e.rows, e.begin, e.end, e.ld / HOPPER_BLOCK_K, p.cluster, p.skew,
                          p.second_sweep ? p.retry + 1 : nullptr};
    hopper_init_barriers(s, p.cluster);
    if (threadIdx.x < 128) {
        registers_shrink<40>();
        if (threadIdx.x == 0) hopper_load(s, work, &p.x_map, &p.w_map, HOPPER_BLOCK_K);
        else if (threadIdx.x / 32 == 1)
            hopper_produce_columns(s, work, [&](int column, float& bias, float&) {
                bias = column < e.end ? e.b_enc[column] : key_value(0);
            });
    } else {
        registers_grow<232>();
        encode_consume(s, work, p);
    }
    hopper_finish(p.cluster);
}

constexpr int encode_retry_shared_bytes() { return sizeof(int); }

// encode_retry: prepares the second sweep. A row that overflowed goes back to its k best from before the sweep and
// takes its last limit. All other rows take no candidates.
//   in      buckets [B], count [B] of the sweep
//   out     limit [B], count [B], retry
//   launch  grid ceil(B / 128), block 128, shared encode_retry_shared_bytes()
//   order   none
SAE_KERNEL(encode_retry, EncodeRetryParams, HOPPER_BLOCK_M) {
    auto& any = shared_memory<int>();
    if (threadIdx.x == 0) any = 0;
    __syncthreads();
    const int row = blockIdx.x * HOPPER_BLOCK_M + threadIdx.x;
    if (row < p.rows) {
        // A row that an earlier sweep gave up already has this limit. It stays over capacity, and select_final sends it
        // to encode_exact.
        const bool over = p.count[row] > p.capacity && p.limit[row] != 0xffffffffu;
        p.limit[row] = over ? max(p.limit[row], bucket_limit(p.buckets[row], p.active)) : 0xffffffffu;
        if (over) {
            p.count[row] = p.active;
            atomicOr(&any, 1);
        }
    }
    __syncthreads();
    if (threadIdx.x != 0) return;
    p.retry[1 + blockIdx.x] = any;
    if (any) atomicAdd(p.retry, 1);
}
