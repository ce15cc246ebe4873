// A row's elements counted by their order_key, so that its limit can rise while a kernel sweeps the columns.
//
// Bucket i holds keys from base + (i << shift) on. When the buckets from i on count k elements, k elements of the row reach that edge, so an element below
// it is not among the k best: the edge is a valid limit. A count that is late only makes the limit lower, which lets more candidates pass. Keys equal
// to the edge pass, so of equal values the lower column still wins, in whatever order tiles are done.
#pragma once
#include "common.cuh"

constexpr int ROW_BUCKETS = 64;

// Buckets from the least to twice as far as the largest of the first elements.
__device__ __forceinline__ void bucket_range(uint32_t least, uint32_t largest, RowBuckets& buckets) {
    const uint32_t room = 0xffffffffu - least, apart = largest - least;
    const uint32_t span = min(room, apart > room / 2 ? room : max(2 * apart, 1u << 20));      // equal ones: an eighth of their value
    uint32_t shift = 0;
    while (span >> shift >= ROW_BUCKETS) ++shift;
    buckets.base = least;
    buckets.shift = shift;
}

__device__ __forceinline__ int bucket_of(uint32_t key, uint32_t base, uint32_t shift) { return int(min((key - base) >> shift, uint32_t(ROW_BUCKETS - 1))); }

// The highest edge that `active` counted elements reach; 0 when there are fewer. Counts are read past the first-level cache.
__device__ __forceinline__ uint32_t bucket_limit(const RowBuckets& buckets, int active) {
    int count[ROW_BUCKETS];
#pragma unroll
    for (int i = 0; i < ROW_BUCKETS; i += 4) {
        const int4 four = __ldcg(reinterpret_cast<const int4*>(buckets.count + i));
        count[i] = four.x, count[i + 1] = four.y, count[i + 2] = four.z, count[i + 3] = four.w;
    }
    int edge = -1;
#pragma unroll
    for (int i = ROW_BUCKETS - 1; i >= 0; --i) {
        active -= count[i];
        edge = active <= 0 ? max(edge, i) : edge;
    }
    return edge < 0 ? 0 : buckets.base + (uint32_t(edge) << buckets.shift);
}
