// From a thread's sums to its rows' candidates: finds the values that reach the limit, reserves their positions, and
// writes them out. Values are read from a slot of shared memory, because registers cannot be indexed. A thread holds 64
// values of each of two rows; the four lanes of a quad share these rows.
#pragma once
#include "hopper_tile.cuh"

// Bit i of a group of 16 stands for its value i: sums[hopper_index(group, row_half, i)] at tile column
// hopper_group_column(group, i).
__device__ __forceinline__ constexpr int hopper_index(int group, int row_half, int i) {
    return 4 * (8 * group + i / 2) + 2 * row_half + i % 2;
}
__device__ __forceinline__ int hopper_group_column(int group, int i) {
    return 8 * (8 * group + i / 2) + hopper_column() + i % 2;
}

// Which of a thread's values are candidates: bit 16 group + i of each row.
struct HopperReached {
    uint64_t row[2] = {0, 0};
    __device__ __forceinline__ int count(int row_half) const { return __popcll(row[row_half]); }
};

// The bits of the tile columns before `columns`. Columns ascend with the bits.
__device__ __forceinline__ uint64_t hopper_before(int columns) {
    const int own = max(columns - hopper_column(), 0), bits = own / 8 * 2 + min(own % 8, 2);
    return bits < 64 ? (1ull << bits) - 1 : ~0ull;
}

// The next positions of a thread's values in its two rows.
struct HopperPositions { int next[2]; };

// Reserves positions for the values that the quad has found in each row. One lane adds to a row's count, by one atomic
// addition, and calls found(row, old count, added). All 32 lanes.
template <typename Found>
__device__ __forceinline__ HopperPositions hopper_reserve(const HopperReached& reached, int* count, int row_begin,
                                                          Found found) {
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
    return {__shfl_sync(0xffffffffu, start, 0, 4) + (before & 0xffff),
            __shfl_sync(0xffffffffu, start, 1, 4) + (before >> 16)};
}

// Calls append(row_half, tile column, sum) for every value that reached the limit.
template <typename Append>
__device__ __forceinline__ void hopper_emit(const HopperSums& sums, const HopperReached& reached, float* slot,
                                            Append append) {
#pragma unroll
    for (int row_half = 0; row_half < 2; ++row_half)
#pragma unroll
        for (int group = 0; group < 4; ++group) {
            uint32_t bits = uint32_t(reached.row[row_half] >> 16 * group) & 0xffffu;
            if (bits == 0) continue;
#pragma unroll
            for (int i = 0; i < 16; i += 4)
                *reinterpret_cast<float4*>(slot + i) = make_float4(
                    sums[hopper_index(group, row_half, i)], sums[hopper_index(group, row_half, i + 1)],
                    sums[hopper_index(group, row_half, i + 2)], sums[hopper_index(group, row_half, i + 3)]);
#pragma unroll 1
            for (; bits != 0; bits &= bits - 1) {
                const int i = __ffs(bits) - 1;
                append(row_half, hopper_group_column(group, i), slot[i]);
            }
        }
}
