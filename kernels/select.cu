// select: from a row's candidates (encode.cu) to the limit for the next chunk of columns, and to the code.
#include "buckets.cuh"

constexpr int SELECT_MAX_ACTIVE = 512;

// The number of candidates of the row: those that encode counted, or all columns of a chunk that was kept whole, behind
// the k best of the chunks before it.
template <typename Params> __device__ __forceinline__ int candidate_count(const Params& p, int row) {
    if (p.chunk_end == 0) return p.count[row];
    int end = p.column_count ? min(p.chunk_end, *p.column_count) : p.chunk_end;
    return (p.carried ? p.count[row] : 0) + max(end - p.chunk_begin, 0);
}

// Starts the buckets of a row from its `kept` candidates, of which `kth` is the smallest key. Whole numbers in double
// add exactly, so the scale does not depend on the candidates' order. All 128 threads.
__device__ __forceinline__ void start_buckets(const uint64_t* candidates, int kept, uint64_t kth, RowBuckets& buckets,
                                              SelectScratch& s) {
    const float origin = key_value(uint32_t(kth >> 32));
    double bits = 0, above = 0;
    __syncthreads();        // the candidates are written
    for (int i = threadIdx.x; i < kept; i += SELECT_THREADS)
        if (const float distance = key_value(uint32_t(candidates[i] >> 32)) - origin; distance > 0 && distance <= 3e38f)
            bits += __float_as_uint(distance), above += 1;
    bits = block_sum(bits, reinterpret_cast<double*>(s.warp_kth));
    above = block_sum(above, reinterpret_cast<double*>(s.warp_kth));
    if (threadIdx.x == 0) bucket_range(origin, above > 0 ? __uint_as_float(uint32_t(bits / above)) : 0, buckets);
    for (int i = threadIdx.x; i < ROW_BUCKETS; i += SELECT_THREADS) buckets.count[i] = 0;
    __syncthreads();
    const float scale = buckets.scale;
    for (int i = threadIdx.x; i < kept; i += SELECT_THREADS)
        atomicAdd(&buckets.count[bucket_of(key_value(uint32_t(candidates[i] >> 32)), origin, scale)], 1);
}

// select_threshold: keeps the best k candidates of each row, and sets the limit that later columns must reach
//   in      candidates [B, stride], count [B] (or carried and the chunk)
//   out     candidates [B, first k], count [B] = kept; limit [B] = limit_after the k-th, 0 while there are fewer than
//           k. With buckets, these start with the k kept candidates. A row over capacity keeps its count and gets a
//           limit that no column reaches; select_final sends it to encode_exact.
//   launch  grid B, block 128, shared sizeof(SelectScratch)
//   needs   stride <= 2048
//   cost    reads stride * 8 bytes a row, about 20 passes over registers
//   order   none: keys are distinct, so the kept set is unique
SAE_KERNEL(select_threshold, SelectThresholdParams, SELECT_THREADS) {
    auto& s = shared_memory<SelectScratch>();
    const int row = blockIdx.x, count = candidate_count(p, row);
    uint64_t* candidates = p.candidates + int64_t(row) * p.stride;
    if (count > p.capacity) {
        if (threadIdx.x == 0) p.limit[row] = 0xffffffffu;
        return;
    }
    SelectKeys keys;
    select_load(candidates, count, keys);
    __syncthreads();        // every key, and the count, is read before one is written
    const int kept = min(count, p.active);
    const uint64_t cutoff = select_cutoff(keys, count, kept, s);
    const uint64_t kth = select_kth(keys, cutoff, s);
    if (count > kept)
        select_take(keys, count, cutoff, s, [&](int position, uint64_t key) { candidates[position] = key; });
    if (threadIdx.x == 0) {
        p.count[row] = kept;
        p.limit[row] = kept == p.active ? limit_after(kth) : 0;
    }
    if (p.buckets) start_buckets(candidates, kept, kth, p.buckets[row], s);
}

struct SelectFinalShared {
    SelectScratch scratch;
    uint64_t chosen[SELECT_MAX_ACTIVE];     // column << 32 | bits of the value
};
constexpr int select_final_shared_bytes() { return sizeof(SelectFinalShared); }

// Sorts in shared memory, ascending; size is a power of two. Bitonic sort (Batcher 1968).
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

// select_final: the code, that is, the best k candidates of each row in ascending order of columns
//   in      candidates [B, stride], count [B] (or carried and the chunk); exact: the rows redo [*overflows], from all
//           of [stride], without zeros
//   out     index [B, k], value [B, k] (relu: values below 0 become 0; NaN becomes 0). With fewer than k candidates the
//           last entries have index -1 and value 0. With scalars, only the best scalars->k entries keep their values,
//           the others get 0. Rows over capacity are not written, but appended to redo.
//   launch  grid B, block 128, shared sizeof(SelectFinalShared)
//   needs   stride <= 2048, k <= 512
//   cost    as select_threshold, and a sort of k keys
//   order   none in the code; redo is in any order
SAE_KERNEL(select_final, SelectFinalParams, SELECT_THREADS) {
    auto& s = shared_memory<SelectFinalShared>();
    int row = blockIdx.x, count = p.stride;
    if (p.exact) {
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
    select_load(p.candidates + int64_t(row) * p.stride, count, keys);
    int present = count;
    if (p.exact) {
        present = 0;
#pragma unroll
        for (int i = 0; i < SELECT_PER_THREAD; ++i) present += keys[i] != 0;
        present = select_sum(present, 0, s.scratch);
    }
    const int kept = min(present, p.active);
    const uint64_t cutoff = present > kept ? select_cutoff(keys, count, kept, s.scratch) : 1;
    uint64_t firing_cutoff = cutoff;
    if (const int now = p.scalars ? int(p.scalars->k) : 0; now > 0 && now < kept) {
        __syncthreads();        // both searches begin with the same counters
        firing_cutoff = select_cutoff(keys, count, now, s.scratch);
    }

    int size = 1;
    while (size < p.active) size *= 2;
    for (int i = threadIdx.x; i < size; i += SELECT_THREADS) s.chosen[i] = ~0ull;
    select_take(keys, count, cutoff, s.scratch, [&](int position, uint64_t key) {
        float value = candidate_value(key);
        if ((!(value > 0) && (p.relu || value != value)) || key < firing_cutoff) value = 0;
        s.chosen[position] = uint64_t(candidate_column(key)) << 32 | __float_as_uint(value);
    });
    sort_ascending(s.chosen, size);
    for (int i = threadIdx.x; i < p.active; i += SELECT_THREADS) {
        const int64_t to = int64_t(row) * p.active + i;
        p.index[to] = i < kept ? int(s.chosen[i] >> 32) : -1;
        p.value[to] = i < kept ? __uint_as_float(uint32_t(s.chosen[i])) : 0.0f;
    }
}
