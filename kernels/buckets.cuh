// Counts of a row's elements by size, from which the row's limit rises while a kernel sweeps the columns.
//
// An element's position on the scale is log2(1 + (v - origin) / scale) in sixteenths, read from the bits of a float.
// origin is the value of the first limit. scale is the distance of the first elements above it, averaged over the bits
// of their floats. The steps are therefore even where elements lie close and grow with the distance, whatever the sign
// and the tail.
// When k elements were counted from bucket i on, and the bucket of a value `edge` is below i, then k elements lie above
// edge, because positions never fall where values rise: keys below edge's are not among the k best. A count that
// arrives late only makes the limit lower, which lets more candidates pass. Keys equal to the limit pass, so of equal
// values the lower column still wins, in whatever order tiles are processed.
#pragma once
#include "select.cuh"

constexpr int ROW_BUCKETS = 128;
constexpr int BUCKET_SHIFT = 19;        // 4 bits of the fraction

__device__ __forceinline__ int bucket_of(float size, float origin, float scale) {
    const float position = (size - origin) + scale;
    return int(min((__float_as_uint(position) - __float_as_uint(scale)) >> BUCKET_SHIFT, uint32_t(ROW_BUCKETS - 1)));
}

// distance: of the first elements above origin. Where these are equal, it is a 64th of their magnitude; where they are
// zero, it is 1e-30. Without a finite origin no limit is ever raised.
__device__ __forceinline__ void bucket_range(float origin, float distance, RowBuckets& buckets) {
    buckets.origin = origin;
    buckets.scale = fmaxf(fmaxf(distance, fabsf(origin) / 64), 1e-30f);
}

// The highest limit that `active` counted elements allow; 0 where there is none. Counts are read past the first-level
// cache.
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
    const float origin = buckets.origin, scale = buckets.scale;
    const float position =
        __uint_as_float(__float_as_uint(scale) + (uint32_t(highest) << BUCKET_SHIFT)) * (1 - 0x1p-16f);
    const float edge = (position - scale) + origin;
    return edge == edge && bucket_of(edge, origin, scale) < highest ? order_key(edge) : 0;
}
