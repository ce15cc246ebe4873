// select: from a row's candidates (encode.cu) to the limit for the next chunk of columns, and to the code.
#include "buckets.cuh"

constexpr int SELECT_MAX_ACTIVE = 512;

// How many candidates the row holds: what encode counted, or all columns of a chunk that was kept whole, behind the k best before it.
template <typename Params> __device__ __forceinline__ int candidate_count(const Params& p, int row) {
    if (p.end == 0) return p.count[row];
    int end = p.column_count ? min(p.end, *p.column_count) : p.end;
    return (p.offset ? p.count[row] : 0) + max(end - p.begin, 0);
}

// The buckets of a row, begun with its `kept` candidates, of which `least` is the least. Whole numbers in double add exactly, so the scale does not depend
// on the candidates' order. All 128 threads.
__device__ __forceinline__ void start_buckets(const uint64_t* candidates, int kept, uint64_t least, RowBuckets& buckets, SelectScratch& s) {
    const float low = key_value(uint32_t(least >> 32));
    double bits = 0, above = 0;
    __syncthreads();        // the candidates are written
    for (int i = threadIdx.x; i < kept; i += SELECT_THREADS)
        if (const float apart = key_value(uint32_t(candidates[i] >> 32)) - low; apart > 0 && apart <= 3e38f) bits += __float_as_uint(apart), above += 1;
    bits = block_sum(bits, reinterpret_cast<double*>(s.least));
    above = block_sum(above, reinterpret_cast<double*>(s.least));
    if (threadIdx.x == 0) bucket_range(low, above > 0 ? __uint_as_float(uint32_t(bits / above)) : 0, buckets);
    for (int i = threadIdx.x; i < ROW_BUCKETS; i += SELECT_THREADS) buckets.count[i] = 0;
    __syncthreads();
    const float scale = buckets.scale;
    for (int i = threadIdx.x; i < kept; i += SELECT_THREADS) atomicAdd(&buckets.count[bucket_of(key_value(uint32_t(candidates[i] >> 32)), low, scale)], 1);
}

// select_threshold — keeps the best k candidates of each row and sets the limit that later columns must reach
//   in    candidates [B, pitch], count [B] (or offset, begin, end)
//   out   candidates [B, first k], count [B] = kept; limit [B] = limit_after the k-th, 0 while fewer than k are there.
//         With buckets: they begin with these k.
//         A row over capacity keeps its count and gets a limit that nothing reaches: select_final sends it to encode_exact.
//   launch grid B, block 128, shared sizeof(SelectScratch)
//   needs pitch <= 2048
//   cost  reads pitch * 8 bytes a row, about 20 passes over registers
//   order none: keys are distinct, the kept set is unique
SAE_KERNEL(select_threshold, SelectThresholdParams, SELECT_THREADS) {
    auto& s = shared_memory<SelectScratch>();
    const int row = blockIdx.x, count = candidate_count(p, row);
    uint64_t* candidates = p.candidates + int64_t(row) * p.pitch;
    if (count > p.capacity) {
        if (threadIdx.x == 0) p.limit[row] = 0xffffffffu;
        return;
    }
    SelectKeys keys;
    select_load(candidates, count, keys);
    __syncthreads();        // every key, and the count, is read before one is written
    const int kept = min(count, p.active);
    const uint64_t bound = select_bound(keys, count, kept, s);
    const uint64_t least = select_least(keys, bound, s);
    if (count > kept) select_take(keys, count, bound, s, [&](int position, uint64_t key) { candidates[position] = key; });
    if (threadIdx.x == 0) {
        p.count[row] = kept;
        p.limit[row] = kept == p.active ? limit_after(least) : 0;
    }
    if (p.buckets) start_buckets(candidates, kept, least, p.buckets[row], s);
}

struct SelectFinalShared {
    SelectScratch scratch;
    uint64_t chosen[SELECT_MAX_ACTIVE];     // column << 32 | bits of the value
};
constexpr int select_final_shared_bytes() { return sizeof(SelectFinalShared); }

// Ascending, in shared memory; size a power of two. Bitonic (Batcher 1968).
__device__ __forceinline__ void sort_ascending(uint64_t* keys, int size) {
    for (int run = 2; run <= size; run *= 2)
        for (int stride = run / 2; stride > 0; stride /= 2) {
            __syncthreads();
            for (int i = threadIdx.x; i < size / 2; i += SELECT_THREADS) {
                int low = i / stride * stride * 2 + i % stride, high = low + stride;
                uint64_t a = keys[low], b = keys[high];
                if ((a > b) == ((low & run) == 0)) keys[low] = b, keys[high] = a;
            }
        }
    __syncthreads();
}

// select_final — the code: the best k candidates of each row in ascending order of columns
//   in    candidates [B, pitch], count [B] (or offset, begin, end); again: rows redo [*overflows], all of [pitch], zeros left out
//   out   index [B, k], value [B, k] (relu: below 0 becomes 0; NaN becomes 0). Fewer than k candidates: index -1, value 0 at the end.
//         With scalars, only the best scalars->k of them keep their value, the others get 0.
//         Rows over capacity are not written, but appended to redo.
//   launch grid B, block 128, shared sizeof(SelectFinalShared)
//   needs pitch <= 2048, k <= 512
//   cost  as select_threshold, and a sort of k keys
//   order none in the code; redo is in any order
SAE_KERNEL(select_final, SelectFinalParams, SELECT_THREADS) {
    auto& s = shared_memory<SelectFinalShared>();
    int row = blockIdx.x, count = p.pitch;
    if (p.again) {
        if (row >= *p.overflows) return;
        row = p.redo[row];
    } else {
        count = candidate_count(p, row);
        if (count > p.capacity) {
            if (threadIdx.x == 0) p.redo[atomicAdd(p.overflows, 1)] = row;
            return;
        }
    }
    SelectKeys keys;
    select_load(p.candidates + int64_t(row) * p.pitch, count, keys);
    int present = count;
    if (p.again) {
        present = 0;
#pragma unroll
        for (int i = 0; i < SELECT_PER_THREAD; ++i) present += keys[i] != 0;
        present = select_sum(present, 0, s.scratch);
    }
    const int kept = min(present, p.active);
    const uint64_t bound = present > kept ? select_bound(keys, count, kept, s.scratch) : 1;
    uint64_t firing = bound;
    if (const int now = p.scalars ? int(p.scalars->k) : 0; now > 0 && now < kept) {
        __syncthreads();        // both searches begin with the same counters
        firing = select_bound(keys, count, now, s.scratch);
    }

    int size = 1;
    while (size < p.active) size *= 2;
    for (int i = threadIdx.x; i < size; i += SELECT_THREADS) s.chosen[i] = ~0ull;
    select_take(keys, count, bound, s.scratch, [&](int position, uint64_t key) {
        float value = candidate_value(key);
        if ((!(value > 0) && (p.relu || value != value)) || key < firing) value = 0;
        s.chosen[position] = uint64_t(candidate_column(key)) << 32 | __float_as_uint(value);
    });
    sort_ascending(s.chosen, size);
    for (int i = threadIdx.x; i < p.active; i += SELECT_THREADS) {
        const int64_t to = int64_t(row) * p.active + i;
        p.index[to] = i < kept ? int(s.chosen[i] >> 32) : -1;
        p.value[to] = i < kept ? __uint_as_float(uint32_t(s.chosen[i])) : 0.0f;
    }
}
