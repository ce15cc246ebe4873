// A row's elements counted by their size, so that its limit can rise while a kernel sweeps the columns.
//
// An element's place on the scale is log2(1 + (v - low) / scale) in sixteenths, read from the bits of a float: low is the first limit's value, scale how far
// the first elements lie above it, in the mean of their float's bits. So the steps are even where they lie close and grow with the distance, whatever the sign and the tail.
// When k elements were counted from bucket i on, and `edge` is a value whose own bucket is below i, then k elements lie above edge, because places never
// fall where values rise: keys below edge's are not among the k best. A count that is late only makes the limit lower, which lets more candidates
// pass. Keys equal to the limit pass, so of equal values the lower column still wins, in whatever order tiles are done.
#pragma once
#include "select.cuh"

constexpr int ROW_BUCKETS = 128;
constexpr int BUCKET_SHIFT = 19;        // 4 bits of the fraction

__device__ __forceinline__ int bucket_of(float size, float low, float scale) {
    const float place = (size - low) + scale;
    return int(min((__float_as_uint(place) - __float_as_uint(scale)) >> BUCKET_SHIFT, uint32_t(ROW_BUCKETS - 1)));
}

// apart: how far the first elements lie above low. Equal ones: a 64th of their size; zeros: any. Without a finite low nothing is ever raised.
__device__ __forceinline__ void bucket_range(float low, float apart, RowBuckets& buckets) {
    buckets.low = low;
    buckets.scale = fmaxf(fmaxf(apart, fabsf(low) / 64), 1e-30f);
}

// The highest limit that `active` counted elements allow; 0 for none. Counts are read past the first-level cache.
__device__ __forceinline__ uint32_t bucket_limit(const RowBuckets& buckets, int active) {
    constexpr int HALF = ROW_BUCKETS / 2;
    int highest = -1;
#pragma unroll 1
    for (int begin = HALF; begin >= 0 && highest < 0; begin -= HALF) {
        int count[HALF];
#pragma unroll
        for (int i = 0; i < HALF; i += 4) {
            const int4 four = __ldcg(reinterpret_cast<const int4*>(buckets.count + begin + i));
            count[i] = four.x, count[i + 1] = four.y, count[i + 2] = four.z, count[i + 3] = four.w;
        }
#pragma unroll
        for (int i = HALF - 1; i >= 0; --i) {
            active -= count[i];
            if (active <= 0) highest = max(highest, begin + i);
        }
    }
    if (highest <= 0) return 0;
    const float low = buckets.low, scale = buckets.scale;
    const float place = __uint_as_float(__float_as_uint(scale) + (uint32_t(highest) << BUCKET_SHIFT)) * (1 - 0x1p-16f);
    const float edge = (place - scale) + low;
    return edge == edge && bucket_of(edge, low, scale) < highest ? order_key(edge) : 0;
}
