// batch: the second half of BatchTopK. Among the values that each row kept, it selects exactly the B k largest positive
// ones of the batch.
//
// Keys are the bits of the value << 32 | ~entry: positive floats have the order of their bits, and of equal values the
// lower entry wins. All keys are distinct, so there is one cutoff that exactly B k keys reach. It is found digit by
// digit, most significant first: a histogram of the digit over the keys that begin with the digits known so far, then a
// pick. The search ends as soon as a digit separates, normally within the value's 31 bits; later passes then return at
// once. Counts are integers, so the result does not depend on the order of threads.
#include "common.cuh"

constexpr int BATCH_THREADS = 256, BATCH_BINS = 2048, BATCH_BINS_PER_THREAD = BATCH_BINS / BATCH_THREADS;

struct BatchHistogramShared { int bins[BATCH_BINS]; };
struct BatchPickShared { int warp_counts[BATCH_THREADS / 32]; };
constexpr int batch_histogram_shared_bytes() { return sizeof(BatchHistogramShared); }
constexpr int batch_pick_shared_bytes() { return sizeof(BatchPickShared); }

__device__ __forceinline__ uint64_t batch_key(const BatchParams& p, float value, int entry) {
    const int number = p.place ? p.place[entry] : entry;
    return uint64_t(__float_as_uint(value)) << 32 | uint32_t(~uint32_t(number));
}

// batch_start: clears the counters of a selection, and counts the rows whose capacity may have cut off positive values
//   in      value [B, C]
//   out     histogram = 0, *cutoff = 0, *left = B k, *smallest = none; *overflows += rows of positive values only,
//           unless `whole`
//   launch  grid ceil(B / 8), block 256
SAE_KERNEL(batch_start, BatchParams, BATCH_THREADS) {
    if (blockIdx.x == 0) {
        for (int i = threadIdx.x; i < BATCH_BINS; i += BATCH_THREADS) p.histogram[i] = 0;
        if (threadIdx.x == 0) {
            *p.cutoff = 0;
            *p.left = p.want;
            *p.smallest = 0xffffffffu;
        }
    }
    const int row = blockIdx.x * (BATCH_THREADS / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= p.rows || p.whole) return;
    int positive = 1;
    for (int i = lane; i < p.active; i += 32) positive &= p.value[int64_t(row) * p.active + i] > 0;
    positive = __all_sync(0xffffffffu, positive);
    if (lane == 0 && positive) atomicAdd(p.overflows, 1);
}

// batch_histogram: counts each digit [shift, shift + bits) among the positive values that begin with the digits of
// *cutoff
//   in      value [B, C], *cutoff, *left (0: nothing to do)
//   out     histogram [2^bits], added to
//   launch  grid any, block 256, shared sizeof(BatchHistogramShared) = 8192
//   cost    reads B C values
SAE_KERNEL(batch_histogram, BatchParams, BATCH_THREADS) {
    auto& s = shared_memory<BatchHistogramShared>();
    if (p.scalars->inference || *p.left == 0) return;
    for (int i = threadIdx.x; i < BATCH_BINS; i += BATCH_THREADS) s.bins[i] = 0;
    __syncthreads();
    const uint64_t known = *p.cutoff >> p.shift >> p.bits;
    const int entries = p.rows * p.active;
    for (int e = blockIdx.x * BATCH_THREADS + threadIdx.x; e < entries; e += gridDim.x * BATCH_THREADS) {
        const float value = p.value[e];
        if (!(value > 0)) continue;
        const uint64_t key = batch_key(p, value, e) >> p.shift;
        if (key >> p.bits == known) atomicAdd(&s.bins[int(key) & ((1 << p.bits) - 1)], 1);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < BATCH_BINS; i += BATCH_THREADS)
        if (s.bins[i] > 0) atomicAdd(p.histogram + i, s.bins[i]);
}

// batch_pick: the next digit of the cutoff: the highest that *left keys reach
//   in      histogram [2048], *cutoff, *left
//   out     *cutoff, *left less the keys above the digit; *left = 0 when the digit has exactly as many keys as are
//           left, or when there are fewer positive values than B k, which then are all kept. histogram = 0
//   launch  grid 1, block 256, shared sizeof(BatchPickShared) = 32
SAE_KERNEL(batch_pick, BatchParams, BATCH_THREADS) {
    auto& s = shared_memory<BatchPickShared>();
    const int left = *p.left;
    if (p.scalars->inference || left == 0) return;
    // Thread 0 owns the highest digits.
    int* own = p.histogram + BATCH_BINS - BATCH_BINS_PER_THREAD * (threadIdx.x + 1);
    int counts[BATCH_BINS_PER_THREAD], sum = 0;
#pragma unroll
    for (int i = 0; i < BATCH_BINS_PER_THREAD; ++i) {
        sum += counts[i] = own[i];
        own[i] = 0;
    }
    const int lane = threadIdx.x % 32;
    int through = sum;
    for (int offset = 1; offset < 32; offset *= 2) {
        int higher = __shfl_up_sync(0xffffffffu, through, offset);
        if (lane >= offset) through += higher;
    }
    if (lane == 31) s.warp_counts[threadIdx.x / 32] = through;
    __syncthreads();
    for (int w = 0; w < int(threadIdx.x) / 32; ++w) through += s.warp_counts[w];

    int above = through - sum;
    if (threadIdx.x == BATCH_THREADS - 1 && through < left) *p.left = 0;
    if (above >= left || through < left) return;
#pragma unroll
    for (int i = BATCH_BINS_PER_THREAD - 1; i >= 0; --i) {
        if (above < left && above + counts[i] >= left) {
            *p.cutoff |= uint64_t(BATCH_BINS - BATCH_BINS_PER_THREAD * (threadIdx.x + 1) + i) << p.shift;
            *p.left = above + counts[i] == left ? 0 : left - above;
        }
        above += counts[i];
    }
}

// batch_apply: sets the values that do not reach the cutoff to 0; at inference, those that do not exceed the running
// threshold
//   in      value [B, C], *cutoff or *threshold
//   out     value; *smallest, except at inference
//   launch  grid any, block 256
SAE_KERNEL(batch_apply, BatchParams, BATCH_THREADS) {
    const int entries = p.rows * p.active, inference = int(p.scalars->inference);
    const uint64_t cutoff = *p.cutoff;
    const float threshold = *p.threshold;
    uint32_t smallest = 0xffffffffu;
    for (int e = blockIdx.x * BATCH_THREADS + threadIdx.x; e < entries; e += gridDim.x * BATCH_THREADS) {
        const float value = p.value[e];
        if (!(value > 0)) continue;
        if (inference ? value > threshold : batch_key(p, value, e) >= cutoff)
            smallest = min(smallest, __float_as_uint(value));
        else p.value[e] = 0;
    }
    if (inference) return;
    for (int offset = 16; offset > 0; offset >>= 1)
        smallest = min(smallest, __shfl_xor_sync(0xffffffffu, smallest, offset));
    if (threadIdx.x % 32 == 0 && smallest != 0xffffffffu) atomicMin(p.smallest, smallest);
}

// batch_threshold: the running mean of the smallest value kept; a batch without positive values does not change it
//   in      *smallest, *threshold
//   out     *threshold, sums->threshold
//   launch  grid 1, block 32
SAE_KERNEL(batch_threshold, BatchParams, 32) {
    if (threadIdx.x != 0) return;
    float threshold = *p.threshold;
    if (!p.scalars->inference && *p.smallest != 0xffffffffu) {
        const float smallest = __uint_as_float(*p.smallest);
        threshold =
            threshold == 0 ? smallest : __fadd_rn(__fmul_rn(p.decay, threshold), __fmul_rn(1 - p.decay, smallest));
        *p.threshold = threshold;
    }
    p.sums->threshold = threshold;
}
