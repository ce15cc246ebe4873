// Selection inside one block: the best of up to 2,048 distinct 64-bit keys, held in registers. A candidate is
// order_key(value) << 32 | ~column: a larger key is better, and of equal values the lower column wins. The key 0 means
// "not a candidate".
// Where the magnitude decides, the value is |z|. The top bit of the lower word, which no column needs, is then clear
// when z < 0, so of equal magnitudes the positive z wins. Otherwise that bit is set.
#pragma once
#include "common.cuh"

constexpr int SELECT_THREADS = 128;
constexpr int SELECT_PER_THREAD = 16;
constexpr int SELECT_KEYS = SELECT_THREADS * SELECT_PER_THREAD;

using SelectKeys = uint64_t[SELECT_PER_THREAD];

struct SelectScratch {
    int counts[2][SELECT_THREADS / 32];
    int taken;
    uint64_t warp_kth[SELECT_THREADS / 32];
};
constexpr int select_threshold_shared_bytes() { return sizeof(SelectScratch); }

constexpr uint32_t CANDIDATE_NOT_NEGATIVE = 0x80000000u;

__device__ __forceinline__ uint64_t candidate_key(float value, int column, int magnitude = 0) {
    uint32_t low = ~uint32_t(column);
    if (magnitude && value < 0) value = -value, low &= ~CANDIDATE_NOT_NEGATIVE;
    return uint64_t(order_key(value)) << 32 | low;
}
__device__ __forceinline__ int candidate_column(uint64_t key) { return int(~uint32_t(key) & ~CANDIDATE_NOT_NEGATIVE); }

// The value of a key. It is NaN where order_key was given NaN.
__device__ __forceinline__ float key_value(uint32_t key) {
    if (key == 0) return __uint_as_float(0x7fffffffu);
    return __uint_as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key);
}

// z of a candidate.
__device__ __forceinline__ float candidate_value(uint64_t key) {
    float value = key_value(uint32_t(key >> 32));
    return uint32_t(key) & CANDIDATE_NOT_NEGATIVE ? value : -value;
}

// The limit after k candidates are known, `kth` the smallest of their keys: the lowest order key with which a later
// column can still displace it. At equality a later column can displace it only where its z is negative.
__device__ __forceinline__ uint32_t limit_after(uint64_t kth) {
    return uint32_t(kth >> 32) + (uint32_t(kth) & CANDIDATE_NOT_NEGATIVE ? 1 : 0);
}

// The floor of a limit: the value that a candidate must exceed. It is NaN, which fails every comparison, where the
// exact test has to check each value.
__device__ __forceinline__ float limit_floor(uint32_t limit) {
    return limit <= 1 ? key_value(0) : key_value(min(limit - 1, 0xff800000u));
}

__device__ __forceinline__ void select_load(const uint64_t* from, int count, SelectKeys& keys) {
#pragma unroll
    for (int i = 0; i < SELECT_PER_THREAD; ++i) {
        int at = threadIdx.x + i * SELECT_THREADS;
        keys[i] = at < count ? from[at] : 0;
    }
}

// Sum over the block. Successive calls must alternate `turn`; one barrier a call is then enough.
__device__ __forceinline__ int select_sum(int count, int turn, SelectScratch& s) {
    for (int offset = 16; offset > 0; offset >>= 1) count += __shfl_xor_sync(0xffffffffu, count, offset);
    if (threadIdx.x % 32 == 0) s.counts[turn][threadIdx.x / 32] = count;
    __syncthreads();
    int total = 0;
    for (int w = 0; w < SELECT_THREADS / 32; ++w) total += s.counts[turn][w];
    return total;
}

// The cutoff: a key that exactly `want` of the `count` keys reach; 1 <= want <= count. It is found by bisection over
// bits, most significant first, which stops at the first prefix that separates. The lower word, which breaks ties by
// column, is therefore rarely examined.
__device__ __forceinline__ uint64_t select_cutoff(const SelectKeys& keys, int count, int want, SelectScratch& s) {
    if (count <= want) return 1;
    uint32_t high = 0;
    for (int bit = 31; bit >= 0; --bit) {
        uint32_t trial = high | 1u << bit;
        int reach = 0;
#pragma unroll
        for (int i = 0; i < SELECT_PER_THREAD; ++i)
            if (i * SELECT_THREADS < count) reach += uint32_t(keys[i] >> 32) >= trial;
        reach = select_sum(reach, bit & 1, s);
        if (reach >= want) high = trial;
        if (reach == want) return uint64_t(high) << 32;
    }
    uint64_t cutoff = uint64_t(high) << 32;
    for (int bit = 31; bit >= 0; --bit) {
        uint64_t trial = cutoff | 1u << bit;
        int reach = 0;
#pragma unroll
        for (int i = 0; i < SELECT_PER_THREAD; ++i)
            if (i * SELECT_THREADS < count) reach += keys[i] >= trial;
        reach = select_sum(reach, bit & 1, s);
        if (reach >= want) cutoff = trial;
        if (reach == want) break;
    }
    return cutoff;
}

// Calls take(position, key) for every key that reaches the cutoff. Positions count up from 0 in no particular order.
template <typename Take>
__device__ __forceinline__ void select_take(const SelectKeys& keys, int count, uint64_t cutoff, SelectScratch& s,
                                            Take take) {
    __syncthreads();
    if (threadIdx.x == 0) s.taken = 0;
    __syncthreads();
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < SELECT_PER_THREAD; ++i)
        if (i * SELECT_THREADS < count) {
            uint32_t chosen = __ballot_sync(0xffffffffu, keys[i] >= cutoff);
            int start = 0;
            if (lane == 0 && chosen) start = atomicAdd(&s.taken, __popc(chosen));
            start = __shfl_sync(0xffffffffu, start, 0);
            if (keys[i] >= cutoff) take(start + __popc(chosen & ((1u << lane) - 1)), keys[i]);
        }
}

// The k-th best key: the smallest of the keys that reach the cutoff, on every thread.
__device__ __forceinline__ uint64_t select_kth(const SelectKeys& keys, uint64_t cutoff, SelectScratch& s) {
    uint64_t kth = ~0ull;
#pragma unroll
    for (int i = 0; i < SELECT_PER_THREAD; ++i)
        if (keys[i] >= cutoff) kth = min(kth, keys[i]);
    for (int offset = 16; offset > 0; offset >>= 1)
        kth = min(kth, uint64_t(__shfl_xor_sync(0xffffffffu, (unsigned long long)kth, offset)));
    if (threadIdx.x % 32 == 0) s.warp_kth[threadIdx.x / 32] = kth;
    __syncthreads();
    for (int w = 0; w < SELECT_THREADS / 32; ++w) kth = min(kth, s.warp_kth[w]);
    return kth;
}
