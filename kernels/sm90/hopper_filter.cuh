// From a thread's sums to its rows' candidates: which values reach, where they go, and the few that do written out of a slot of shared memory, because
// registers cannot be indexed. A thread holds 64 values of each of two rows; the four lanes of a quad share them.
#pragma once
#include "hopper_tile.cuh"

// Bit i of a group of 16 is its value i: sums [hopper_index(group, upper, i)], tile column hopper_group_column(group, i).
__device__ __forceinline__ constexpr int hopper_index(int group, int upper, int i) { return 4 * (8 * group + i / 2) + 2 * upper + i % 2; }
__device__ __forceinline__ int hopper_group_column(int group, int i) { return 8 * (8 * group + i / 2) + hopper_column() + i % 2; }

// Which of a thread's values are candidates: bit 16 group + i of its row.
struct HopperReached {
    uint64_t row[2] = {0, 0};
    __device__ __forceinline__ int count(int upper) const { return __popcll(row[upper]); }
};

// The bits of tile columns before `columns`, which ascend with the bits.
__device__ __forceinline__ uint64_t hopper_before(int columns) {
    const int own = max(columns - hopper_column(), 0), bits = own / 8 * 2 + min(own % 8, 2);
    return bits < 64 ? (1ull << bits) - 1 : ~0ull;
}

// Where a thread's values of its two rows go.
struct HopperPlaces { int next[2]; };

// Reserves room for what the quad has found of each row: one atomic addition a row, by one lane, which calls found(row, old count, added). All 32 lanes.
template <typename Found>
__device__ __forceinline__ HopperPlaces hopper_reserve(const HopperReached& reached, int* count, int row_begin, Found found) {
    const int lane = threadIdx.x % 4, mine = reached.count(0) | reached.count(1) << 16;
    int sum = mine;
#pragma unroll
    for (int offset = 1; offset < 4; offset *= 2) {
        const int other = __shfl_up_sync(0xffffffffu, sum, offset, 4);
        if (lane >= offset) sum += other;
    }
    const int total = __shfl_sync(0xffffffffu, sum, 3, 4), before = sum - mine;
    int start = 0;
    if (lane < 2) {
        const int added = lane == 0 ? total & 0xffff : total >> 16;
        if (added > 0) {
            const int row = row_begin + hopper_row(lane);
            start = atomicAdd(count + row, added);
            found(row, start, added);
        }
    }
    return {__shfl_sync(0xffffffffu, start, 0, 4) + (before & 0xffff), __shfl_sync(0xffffffffu, start, 1, 4) + (before >> 16)};
}

// append(upper, tile column, sum) for every value that reached.
template <typename Append> __device__ __forceinline__ void hopper_emit(const HopperSums& sums, const HopperReached& reached, float* slot, Append append) {
#pragma unroll
    for (int upper = 0; upper < 2; ++upper)
#pragma unroll
        for (int group = 0; group < 4; ++group) {
            uint32_t bits = uint32_t(reached.row[upper] >> 16 * group) & 0xffffu;
            if (bits == 0) continue;
#pragma unroll
            for (int i = 0; i < 16; i += 4)
                *reinterpret_cast<float4*>(slot + i) = make_float4(sums[hopper_index(group, upper, i)], sums[hopper_index(group, upper, i + 1)],
                    sums[hopper_index(group, upper, i + 2)], sums[hopper_index(group, upper, i + 3)]);
#pragma unroll 1
            for (; bits != 0; bits &= bits - 1) {
                const int i = __ffs(bits) - 1;
                append(upper, hopper_group_column(group, i), slot[i]);
            }
        }
}
