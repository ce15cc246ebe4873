// screen_sm90: `screen` (screen.cu) on Hopper's asynchronous tensor cores, at twice the rate of 16-bit numbers. Sums
// are whole numbers and exact, and the bound is the same function, so the same columns survive.
//
// The test of one column takes a dozen instructions, and 128 bytes of K of a tile take 512 cycles. The kernel therefore
// rules out 16 columns of a row at once where their largest sum, under the largest constants of 64 columns, stays at or
// below the row's floor: every term of the bound rises with every constant, and with a sum of at least 0, rounded or
// not, so none of the 16 columns could survive.
#include "../screen.cuh"
#include "hopper_filter.cuh"

constexpr int SCREEN_BLOCK_K = 128;         // 8-bit numbers of a block of K
constexpr int SCREEN_PRODUCERS = 96;        // threads: two warps for columns, one for rows
constexpr int SCREEN_GROUPS = HOPPER_BLOCK_N / 64;
constexpr float SCREEN_PLAIN = 2.8147498e14f;       // 2^48: below it no product or sum of the bound is infinite or NaN

struct ScreenSm90Shared : HopperStages {
    float4 column[2][HOPPER_BLOCK_N];       // of this tile and the next
    float4 row[2][HOPPER_BLOCK_M];
    // largest constants of 64 columns; NaN, which rules nothing out, where one is not below SCREEN_PLAIN
    float4 group_max[2][SCREEN_GROUPS];
    float slack[2][SCREEN_GROUPS];
};
constexpr int screen_sm90_shared_bytes() { return sizeof(ScreenSm90Shared); }

// One of two producer warps: the constants of 128 columns, and the largest of each 64.
__device__ __forceinline__ void screen_produce_columns(ScreenSm90Shared& s, const ScreenParams& p, int stage_idx,
                                                       int begin) {
    const int lane = threadIdx.x % 32, first = int(threadIdx.x / 32 - 1) * 128;
    ScreenColumnSource from[4];
#pragma unroll
    // all loads are issued before the first is used
    for (int i = 0; i < 4; ++i) from[i] = screen_column_source(p, begin + first + lane + 32 * i);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float4 group_max = make_float4(0, -__int_as_float(0x7f800000), 0, 0);
        float bias = 0;
        bool plain = fminf(p.margin, p.rounding) >= 0;
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
            const float4 c = screen_column(from[i]);
            s.column[stage_idx][first + lane + 32 * i] = c;
            plain &= c.x + fabsf(c.y) + c.z + c.w < SCREEN_PLAIN;
            group_max = make_float4(fmaxf(group_max.x, c.x), fmaxf(group_max.y, p.magnitude ? fabsf(c.y) : c.y),
                                    fmaxf(group_max.z, c.z), fmaxf(group_max.w, c.w));
            bias = fmaxf(bias, fabsf(c.y));
        }
#pragma unroll
        for (int offset = 16; offset > 0; offset >>= 1) {
            group_max.x = fmaxf(group_max.x, __shfl_xor_sync(0xffffffffu, group_max.x, offset));
            group_max.y = fmaxf(group_max.y, __shfl_xor_sync(0xffffffffu, group_max.y, offset));
            group_max.z = fmaxf(group_max.z, __shfl_xor_sync(0xffffffffu, group_max.z, offset));
            group_max.w = fmaxf(group_max.w, __shfl_xor_sync(0xffffffffu, group_max.w, offset));
            bias = fmaxf(bias, __shfl_xor_sync(0xffffffffu, bias, offset));
        }
        if (__any_sync(0xffffffffu, !plain)) group_max.x = key_value(0);
        if (lane == 0) {
            s.group_max[stage_idx][first / 64 + half] = group_max;
            s.slack[stage_idx][first / 64 + half] = p.rounding * bias;
        }
    }
}

// One producer warp: the rows of the tile. Their limits do not move during a launch.
__device__ __forceinline__ void screen_produce_rows(ScreenSm90Shared& s, const ScreenParams& p, int stage_idx,
                                                    int row_begin) {
    const int lane = threadIdx.x % 32;
    ScreenRowSource from[HOPPER_BLOCK_M / 32];
#pragma unroll
    for (int i = 0; i < HOPPER_BLOCK_M / 32; ++i) from[i] = screen_row_source(p, row_begin + lane + 32 * i);
#pragma unroll
    for (int i = 0; i < HOPPER_BLOCK_M / 32; ++i) s.row[stage_idx][lane + 32 * i] = screen_row(p, from[i]);
}

// The largest of a group of 16 sums of a row, or of their magnitudes; at least 0.
__device__ __forceinline__ int screen_largest(const HopperSumsOf<int>& sums, int group, int row_half, int magnitude) {
    int largest = 0;
#pragma unroll
    for (int i = 0; i < 16; ++i) largest = max(largest, sums[hopper_index(group, row_half, i)]);
    if (!magnitude) return largest;
    int smallest = 0;
#pragma unroll
    for (int i = 0; i < 16; ++i) smallest = min(smallest, sums[hopper_index(group, row_half, i)]);
    return max(largest, -smallest);
}

// Finds which of a thread's sums survive.
__device__ __forceinline__ HopperReached screen_compare(const HopperSumsOf<int>& sums, const ScreenSm90Shared& s,
                                                        int stage_idx, const ScreenParams& p) {
    HopperReached reached;
    const uint32_t sign = p.magnitude ? 0x7fffffffu : 0xffffffffu;
#pragma unroll
    for (int row_half = 0; row_half < 2; ++row_half) {
        const float4 row = s.row[stage_idx][hopper_row(row_half)];
        const bool plain = row.x + row.y + row.z < SCREEN_PLAIN;
#pragma unroll
        for (int group = 0; group < SCREEN_GROUPS; ++group) {
            if (plain
                && !screen_survives(screen_largest(sums, group, row_half, p.magnitude), s.group_max[stage_idx][group],
                                    s.slack[stage_idx][group], row, sign))
                continue;
            uint32_t bits = 0;
#pragma unroll
            for (int i = 0; i < 16; ++i) {
                const float4 column = s.column[stage_idx][hopper_group_column(group, i)];
                const int sum = sums[hopper_index(group, row_half, i)];
                if (screen_survives(sum, column, p.rounding * fabsf(column.y), row, sign)) bits |= 1u << i;
            }
            reached.row[row_half] |= uint64_t(bits) << 16 * group;
        }
    }
    return reached;
}

// The tiles of a consumer warpgroup: it forms the sums, then appends the columns that survive.
__device__ __forceinline__ void screen_consume(ScreenSm90Shared& s, const HopperWork& w, const ScreenParams& p) {
    PipelineState<HOPPER_STAGES> state;
    PipelineState<2> column_state;
    hopper_for_each_tile(w, [&](int row_begin, int begin) {
        HopperSumsOf<int> sums;
#pragma unroll
        for (int i = 0; i < 128; ++i) sums[i] = 0;
        hopper_multiply(s, w, state, sums);
        mbarrier_wait(&s.column_full_barriers[column_state.stage_idx], column_state.phase);
        HopperReached reached = screen_compare(sums, s, column_state.stage_idx, p);
        mbarrier_arrive(&s.column_empty_barriers[column_state.stage_idx]);
        column_state.advance();
#pragma unroll
        for (int row_half = 0; row_half < 2; ++row_half)
            reached.row[row_half] &= row_begin + hopper_row(row_half) < p.rows ? hopper_before(p.end - begin) : 0;
        if (!__any_sync(0xffffffffu, (reached.row[0] | reached.row[1]) != 0)) return;
        HopperPositions positions = hopper_reserve(reached, p.count, row_begin, [](int, int, int) {});
#pragma unroll
        for (int row_half = 0; row_half < 2; ++row_half)
            for (uint64_t left = reached.row[row_half]; left != 0; left &= left - 1) {
                const int bit = __popcll(left ^ (left - 1)) - 1, position = positions.next[row_half]++;
                const int64_t row = row_begin + hopper_row(row_half);
                if (position < p.capacity)
                    p.candidates[row * p.stride + position] = uint32_t(begin + hopper_group_column(bit / 16, bit % 16));
            }
    });
}

// screen_sm90: survivors among columns [begin, end)
//   in      x and w in 8 bits as tensor maps, the rest as screen
//   out     as screen
//   launch  grid a multiple of `cluster`, at most one block a multiprocessor; block 384, cluster 1 or 2, shared
//           sizeof(ScreenSm90Shared)
//   needs   ld % 64 == 0, padding of both operands zero; where ld is an odd multiple of 64, TMA writes zeros into half
//           of the last block of K
//   cost    2 B (end - begin) ld operations, ld rounded up to 128; bound by the tensor cores. A column and row take two
//           instructions unless 16 of them may survive.
//   order   survivors of a row come in any order; the set is that of screen
SAE_KERNEL(screen_sm90, ScreenSm90Params, HOPPER_THREADS) {
    auto& s = shared_memory<ScreenSm90Shared>();
    const ScreenParams& e = p.screen;
    const HopperWork work{e.rows, e.begin, e.end, (e.ld + SCREEN_BLOCK_K - 1) / SCREEN_BLOCK_K, p.cluster, p.skew,
                          nullptr};
    hopper_init_barriers(s, p.cluster, SCREEN_PRODUCERS);
    if (threadIdx.x < 128) {
        registers_shrink<56>();
        if (threadIdx.x == 0) hopper_load(s, work, &p.x_map, &p.w_map, SCREEN_BLOCK_K);
        else if (threadIdx.x >= 32) hopper_produce(s, work, [&](int stage_idx, int row_begin, int begin) {
            if (threadIdx.x < 96) screen_produce_columns(s, e, stage_idx, begin);
            else screen_produce_rows(s, e, stage_idx, row_begin);
        });
    } else {
        registers_grow<224>();
        screen_consume(s, work, e);
    }
    hopper_finish(p.cluster);
}
