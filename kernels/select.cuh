// Selection inside one block: the best of up to 2,048 distinct 64-bit keys, held in registers.
// A candidate is order_key(value) << 32 | ~column: larger is better, and of equal values the lower column wins. 0 is no candidate.
// Where the magnitude decides, the value is |z|, and the lower word's top bit, which no column needs, is clear when z < 0: of equal
// ones the positive wins. Otherwise that bit is set.
#pragma once
#include "common.cuh"

constexpr int SELECT_THREADS = 128;
constexpr int SELECT_PER_THREAD = 16;
constexpr int SELECT_KEYS = SELECT_THREADS * SELECT_PER_THREAD;

using SelectKeys = uint64_t[SELECT_PER_THREAD];

struct SelectScratch {
    int counts[2][SELECT_THREADS / 32];
    int taken;
    uint64_t least[SELECT_THREADS / 32];
};
constexpr int select_threshold_shared_bytes() { return sizeof(SelectScratch); }

constexpr uint32_t CANDIDATE_NOT_NEGATIVE = 0x80000000u;

__device__ __forceinline__ uint64_t candidate_key(float value, int column, int magnitude = 0) {
    uint32_t low = ~uint32_t(column);
    if (magnitude && value < 0) value = -value, low &= ~CANDIDATE_NOT_NEGATIVE;
    return uint64_t(order_key(value)) << 32 | low;
}
__device__ __forceinline__ int candidate_column(uint64_t key) { return int(~uint32_t(key) & ~CANDIDATE_NOT_NEGATIVE); }

// The value of a key: NaN where order_key said NaN.
__device__ __forceinline__ float key_value(uint32_t key) {
    if (key == 0) return __uint_as_float(0x7fffffffu);
    return __uint_as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key);
}

// z of a candidate.
__device__ __forceinline__ float candidate_value(uint64_t key) {
    float value = key_value(uint32_t(key >> 32));
    return uint32_t(key) & CANDIDATE_NOT_NEGATIVE ? value : -value;
}

// The lowest order_key with which a later column can still displace `least`. At equality it can only where least is negative.
__device__ __forceinline__ uint32_t limit_after(uint64_t least) {
    return uint32_t(least >> 32) + (uint32_t(least) & CANDIDATE_NOT_NEGATIVE ? 1 : 0);
}

// The value that a candidate must exceed. NaN, which every comparison fails, where the exact test has to look at each value.
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

// Sum over the block. Calls in a row must alternate `turn`: one barrier a call is then enough.
__device__ __forceinline__ int select_sum(int count, int turn, SelectScratch& s) {
    for (int offset = 16; offset > 0; offset >>= 1) count += __shfl_xor_sync(0xffffffffu, count, offset);
    if (threadIdx.x % 32 == 0) s.counts[turn][threadIdx.x / 32] = count;
    __syncthreads();
    int total = 0;
    for (int w = 0; w < SELECT_THREADS / 32; ++w) total += s.counts[turn][w];
    return total;
}

// A bound such that exactly `want` of the `count` keys reach it; 1 <= want <= count. Bisection by bits, most significant first:
// it stops at the first prefix that separates, so the lower word, which settles ties by column, is rarely looked at.
__device__ __forceinline__ uint64_t select_bound(const SelectKeys& keys, int count, int want, SelectScratch& s) {
    if (count <= want) return 1;
    uint32_t upper = 0;
    for (int bit = 31; bit >= 0; --bit) {
        uint32_t trial = upper | 1u << bit;
        int reach = 0;
#pragma unroll
        for (int i = 0; i < SELECT_PER_THREAD; ++i)
            if (i * SELECT_THREADS < count) reach += uint32_t(keys[i] >> 32) >= trial;
        reach = select_sum(reach, bit & 1, s);
        if (reach >= want) upper = trial;
        if (reach == want) return uint64_t(upper) << 32;
    }
    uint64_t bound = uint64_t(upper) << 32;
    for (int bit = 31; bit >= 0; --bit) {
        uint64_t trial = bound | 1u << bit;
        int reach = 0;
#pragma unroll
        for (int i = 0; i < SELECT_PER_THREAD; ++i)
            if (i * SELECT_THREADS < count) reach += keys[i] >= trial;
        reach = select_sum(reach, bit & 1, s);
        if (reach >= want) bound = trial;
        if (reach == want) break;
    }
    return bound;
}

// Calls take(position, key) for every key that reaches the bound; positions count up from 0 in no particular order.
template <typename Take> __device__ __forceinline__ void select_take(const SelectKeys& keys, int count, uint64_t bound, SelectScratch& s, Take take) {
    __syncthreads();
    if (threadIdx.x == 0) s.taken = 0;
    __syncthreads();
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < SELECT_PER_THREAD; ++i)
        if (i * SELECT_THREADS < count) {
            uint32_t chosen = __ballot_sync(0xffffffffu, keys[i] >= bound);
            int start = 0;
            if (lane == 0 && chosen) start = atomicAdd(&s.taken, __popc(chosen));
            start = __shfl_sync(0xffffffffu, start, 0);
            if (keys[i] >= bound) take(start + __popc(chosen & ((1u << lane) - 1)), keys[i]);
        }
}

// The least of the keys that reach the bound, on every thread.
__device__ __forceinline__ uint64_t select_least(const SelectKeys& keys, uint64_t bound, SelectScratch& s) {
    uint64_t least = ~0ull;
#pragma unroll
    for (int i = 0; i < SELECT_PER_THREAD; ++i)
        if (keys[i] >= bound) least = min(least, keys[i]);
    for (int offset = 16; offset > 0; offset >>= 1) least = min(least, uint64_t(__shfl_xor_sync(0xffffffffu, (unsigned long long)least, offset)));
    if (threadIdx.x % 32 == 0) s.least[threadIdx.x / 32] = least;
    __syncthreads();
    for (int w = 0; w < SELECT_THREADS / 32; ++w) least = min(least, s.least[w]);
    return least;
}
