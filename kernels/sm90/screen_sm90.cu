// screen_sm90: screen.cu's `screen` on Hopper's asynchronous tensor cores, at twice the rate of 16-bit numbers. Sums are whole numbers and exact and the
// bound is the same function, so the same columns survive.
//
// A look at a column costs a dozen instructions, and 128 bytes of K of a tile take 512 cycles. So 16 columns of a row are ruled out at once where their
// largest sum under the largest constants of 64 columns stays below the limit: every step of the bound rises with every constant, and with a sum of at
// least 0, rounded or not, so none of them could survive.
#include "../screen.cuh"
#include "hopper_filter.cuh"

constexpr int SCREEN_NUMBERS = 128;         // of a line
constexpr int SCREEN_BRINGING = 96;         // threads: two warps for columns, one for rows
constexpr int SCREEN_GROUPS = HOPPER_COLUMNS / 64;
constexpr float SCREEN_PLAIN = 2.8147498e14f;       // 2^48: below it no product or sum of the bound is infinite or NaN

struct ScreenSm90Shared : HopperStages {
    float4 column[2][HOPPER_COLUMNS];       // of this tile and the next
    float4 row[2][HOPPER_ROWS];
    float4 most[2][SCREEN_GROUPS];          // of 64 columns: the largest of each constant; NaN, which rules nothing out, where one is not plain
    float slack[2][SCREEN_GROUPS];
};
constexpr int screen_sm90_shared_bytes() { return sizeof(ScreenSm90Shared); }

// One of two warps: 128 columns' constants, and what is largest among each 64.
__device__ __forceinline__ void screen_bring_columns(ScreenSm90Shared& s, const ScreenParams& p, int place, int begin) {
    const int lane = threadIdx.x % 32, first = int(threadIdx.x / 32 - 1) * 128;
    ScreenColumnSource from[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) from[i] = screen_column_source(p, begin + first + lane + 32 * i);      // all on their way before any is needed
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float4 most = make_float4(0, -__int_as_float(0x7f800000), 0, 0);
        float bias = 0;
        bool plain = fminf(p.margin, p.rounding) >= 0;
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
            const float4 c = screen_column(from[i]);
            s.column[place][first + lane + 32 * i] = c;
            plain &= c.x + fabsf(c.y) + c.z + c.w < SCREEN_PLAIN;
            most = make_float4(fmaxf(most.x, c.x), fmaxf(most.y, p.magnitude ? fabsf(c.y) : c.y), fmaxf(most.z, c.z), fmaxf(most.w, c.w));
            bias = fmaxf(bias, fabsf(c.y));
        }
#pragma unroll
        for (int offset = 16; offset > 0; offset >>= 1) {
            most.x = fmaxf(most.x, __shfl_xor_sync(0xffffffffu, most.x, offset));
            most.y = fmaxf(most.y, __shfl_xor_sync(0xffffffffu, most.y, offset));
            most.z = fmaxf(most.z, __shfl_xor_sync(0xffffffffu, most.z, offset));
            most.w = fmaxf(most.w, __shfl_xor_sync(0xffffffffu, most.w, offset));
            bias = fmaxf(bias, __shfl_xor_sync(0xffffffffu, bias, offset));
        }
        if (__any_sync(0xffffffffu, !plain)) most.x = key_value(0);
        if (lane == 0) {
            s.most[place][first / 64 + half] = most;
            s.slack[place][first / 64 + half] = p.rounding * bias;
        }
    }
}

// One warp: the tile's rows. Their limits do not move during a launch.
__device__ __forceinline__ void screen_bring_rows(ScreenSm90Shared& s, const ScreenParams& p, int place, int row_begin) {
    const int lane = threadIdx.x % 32;
    ScreenRowSource from[HOPPER_ROWS / 32];
#pragma unroll
    for (int i = 0; i < HOPPER_ROWS / 32; ++i) from[i] = screen_row_source(p, row_begin + lane + 32 * i);
#pragma unroll
    for (int i = 0; i < HOPPER_ROWS / 32; ++i) s.row[place][lane + 32 * i] = screen_row(p, from[i]);
}

// The largest of a group of 16 sums of a row, or of their sizes; at least 0.
__device__ __forceinline__ int screen_largest(const HopperSumsOf<int>& sums, int group, int upper, int magnitude) {
    int largest = 0;
#pragma unroll
    for (int i = 0; i < 16; ++i) largest = max(largest, sums[hopper_index(group, upper, i)]);
    if (!magnitude) return largest;
    int least = 0;
#pragma unroll
    for (int i = 0; i < 16; ++i) least = min(least, sums[hopper_index(group, upper, i)]);
    return max(largest, -least);
}

// Which of a thread's sums survive.
__device__ __forceinline__ HopperReached screen_compare(const HopperSumsOf<int>& sums, const ScreenSm90Shared& s, int place, const ScreenParams& p) {
    HopperReached reached;
    const uint32_t sign = p.magnitude ? 0x7fffffffu : 0xffffffffu;
#pragma unroll
    for (int upper = 0; upper < 2; ++upper) {
        const float4 row = s.row[place][hopper_row(upper)];
        const bool plain = row.x + row.y + row.z < SCREEN_PLAIN;
#pragma unroll
        for (int group = 0; group < SCREEN_GROUPS; ++group) {
            if (plain && !screen_survives(screen_largest(sums, group, upper, p.magnitude), s.most[place][group], s.slack[place][group], row, sign)) continue;
            uint32_t bits = 0;
#pragma unroll
            for (int i = 0; i < 16; ++i) {
                const float4 column = s.column[place][hopper_group_column(group, i)];
                if (screen_survives(sums[hopper_index(group, upper, i)], column, p.rounding * fabsf(column.y), row, sign)) bits |= 1u << i;
            }
            reached.row[upper] |= uint64_t(bits) << 16 * group;
        }
    }
    return reached;
}

// A consumer's tiles: sums, and the columns that survive.
__device__ __forceinline__ void screen_consume(ScreenSm90Shared& s, const HopperWork& w, const ScreenParams& p) {
    HopperTurn<HOPPER_STAGES> stage;
    HopperTurn<2> tile;
    hopper_tiles(w, [&](int row_begin, int begin) {
        HopperSumsOf<int> sums;
#pragma unroll
        for (int i = 0; i < 128; ++i) sums[i] = 0;
        hopper_multiply(s, w, stage, sums);
        mbarrier_wait(&s.columns_full[tile.place], tile.parity);
        HopperReached reached = screen_compare(sums, s, tile.place, p);
        mbarrier_arrive(&s.columns_empty[tile.place]);
        tile.advance();
#pragma unroll
        for (int upper = 0; upper < 2; ++upper)
            reached.row[upper] &= row_begin + hopper_row(upper) < p.rows ? hopper_before(p.end - begin) : 0;
        if (!__any_sync(0xffffffffu, (reached.row[0] | reached.row[1]) != 0)) return;
        HopperPlaces places = hopper_reserve(reached, p.count, row_begin, [](int, int, int) {});
#pragma unroll
        for (int upper = 0; upper < 2; ++upper)
            for (uint64_t left = reached.row[upper]; left != 0; left &= left - 1) {
                const int bit = __popcll(left ^ (left - 1)) - 1, position = places.next[upper]++;
                const int64_t row = row_begin + hopper_row(upper);
                if (position < p.capacity) p.candidates[row * p.pitch + position] = uint32_t(begin + hopper_group_column(bit / 16, bit % 16));
            }
    });
}

// screen_sm90 — survivors among columns [begin, end)
//   in    x and w in 8 bits as tensor maps, the rest as screen
//   out   as screen
//   launch grid a multiple of `cluster`, at most one block a multiprocessor; block 384, cluster 1 or 2, shared sizeof(ScreenSm90Shared)
//   needs ld % 64 == 0, padding of both operands zero; of an odd number of 64 TMA brings zeros for the last half line
//   cost  2 B (end - begin) ld operations, ld rounded up to 128; bound by the tensor cores. A column and row take two instructions unless 16 of them may survive.
//   order survivors of a row come in any order; the set is that of screen
SAE_KERNEL(screen_sm90, ScreenSm90Params, HOPPER_THREADS) {
    auto& s = shared_memory<ScreenSm90Shared>();
    const ScreenParams& e = p.screen;
    const HopperWork work{e.rows, e.begin, e.end, (e.depth + SCREEN_NUMBERS - 1) / SCREEN_NUMBERS, p.cluster, p.skew, nullptr};
    hopper_start(s, p.cluster, SCREEN_BRINGING);
    if (threadIdx.x < 128) {
        registers_shrink<56>();
        if (threadIdx.x == 0) hopper_load(s, work, &p.x_map, &p.w_map, SCREEN_NUMBERS);
        else if (threadIdx.x >= 32) hopper_bring(s, work, [&](int place, int row_begin, int begin) {
            if (threadIdx.x < 96) screen_bring_columns(s, e, place, begin);
            else screen_bring_rows(s, e, place, row_begin);
        });
    } else {
        registers_grow<224>();
        screen_consume(s, work, e);
    }
    hopper_finish(p.cluster);
}
