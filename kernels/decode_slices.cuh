// The entries of a row in shared memory, and slices of their decoder rows, for decode.cu and decode_ranks.cu.
#pragma once
#include "ptx.cuh"
#include "vector.cuh"

constexpr int DECODE_WARPS = 4;

// The code of a row in shared memory, for all warps of the block: the entries that have a gradient, by level, then in
// their order in the row.
struct DecodeLists {
    int* level_start;       // [levels + 1]
    int* position;          // [k] of an entry in the lists below, or -1
    int* rows;              // [k] latents
    float* values;          // [k]
    float* gates;           // [k] of Gated
};

// Fills the lists. Returns the number of entries in them.
__device__ __forceinline__ int list_entries(const DecodeParams& p, size_t row, int count, const DecodeLists& lists) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    auto in_level = [&](int j, int m) {
        size_t e = row * p.active + j;
        return j < count && (p.value[e] != 0 || p.paired) && (!p.level || p.level[e] == m);
    };
    for (int j = threadIdx.x; j < p.active; j += blockDim.x) lists.position[j] = -1;
    for (int m = warp; m < p.levels; m += warps) {
        int entries = 0;
        for (int first = 0; first < count; first += 32)
            entries += __popc(__ballot_sync(0xffffffffu, in_level(first + lane, m)));
        if (lane == 0) lists.level_start[m + 1] = entries;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        lists.level_start[0] = 0;
        for (int m = 0; m < p.levels; ++m) lists.level_start[m + 1] += lists.level_start[m];
    }
    __syncthreads();
    for (int m = warp; m < p.levels; m += warps) {
        int next = lists.level_start[m];
        for (int first = 0; first < count; first += 32) {
            int j = first + lane;
            bool mine = in_level(j, m);
            uint32_t votes = __ballot_sync(0xffffffffu, mine);
            if (mine) {
                int position = next + __popc(votes & ((1u << lane) - 1));
                size_t e = row * p.active + j;
                lists.position[j] = position;
                lists.rows[position] = p.index[e];
                lists.values[position] = p.value[e];
                if (p.gate) lists.gates[position] = fmaxf(0, p.gate[e]);
            }
            next += __popc(votes);
        }
    }
    __syncthreads();
    return lists.level_start[p.levels];
}

// A lane's share of a slice: eight columns of every groups-th entry. A slice of 256 columns takes all lanes. A slice of
// 128 or 64 columns takes 16 or 8 lanes, so two or four groups of lanes share the entries:
//
//               columns   0-7   8-15  ...  last 8    entries
//   slice 256   lanes       0      1  ...      31    0, 1, 2, ...
//   slice 128   lanes       0      1  ...      15    0, 2, 4, ...      group 0
//                          16     17  ...      31    1, 3, 5, ...      group 1
//   slice 64    lanes       0      1  ...       7    0, 4, 8, ...      group 0
//                           8      9  ...      15    1, 5, 9, ...      group 1
//                          16     17  ...      23    2, 6, 10, ...     group 2
//                          24     25  ...      31    3, 7, 11, ...     group 3
struct SliceLane {
    int groups, group, across;              // across: lanes of a group
    int columns;                            // of a slice
    int column;                             // the lane's first

    __device__ __forceinline__ explicit SliceLane(int slice)
        : groups(256 / slice), group(threadIdx.x % 32 / (slice / 8)), across(slice / 8), columns(slice),
          column(threadIdx.x % 32 % (slice / 8) * 8) {}

    // The lane's first entry from `from` on.
    __device__ __forceinline__ int first(int from) const { return from + ((group - from) & (groups - 1)); }
    __device__ __forceinline__ uint4 weights(const bf16_bits* w, int entry) const {
        return load_bf16x8(w + entry * columns + column);
    }
};

// Adds the lane's share of entries [from, to), times their coefficients, to sum.
__device__ __forceinline__ void add_slices(const SliceLane& lane, const bf16_bits* w, const float* coefficients,
                                           int from, int to, float (&sum)[8]) {
#pragma unroll 4
    for (int j = lane.first(from); j < to; j += lane.groups) add_scaled8(sum, coefficients[j], lane.weights(w, j));
}

// Sums over the groups of lanes; all lanes get the sum.
__device__ __forceinline__ void sum_groups(const SliceLane& lane, float (&v)[8]) {
    for (int offset = lane.across; offset < 32; offset *= 2)
        for (int i = 0; i < 8; ++i) v[i] += __shfl_xor_sync(0xffffffffu, v[i], offset);
}

// dots[j] += <e, w_j> over the slice, for entries [from, to). Eight entries of a group at a time: each of three
// exchanges halves the entries whose parts a lane holds, then the lanes that hold the same entry add up. For slice 256
// (across 32, share 4) a lane holds parts of these entries:
//
//                    lanes  0-3   4-7  8-11 12-15 16-19 20-23 24-27 28-31
//   before                  0-7   0-7   0-7   0-7   0-7   0-7   0-7   0-7
//   lane ^ 16, half 4       0-3   0-3   0-3   0-3   4-7   4-7   4-7   4-7
//   lane ^  8, half 2       0-1   0-1   2-3   2-3   4-5   4-5   6-7   6-7
//   lane ^  4, half 1         0     1     2     3     4     5     6     7      mine
//   lane ^  2, lane ^ 1     the four lanes of an entry add up
__device__ __forceinline__ void add_dots(const SliceLane& lane, const bf16_bits* w, const float (&e)[8], bool inside,
                                         int from, int to, float* dots) {
    const int rank = threadIdx.x % lane.across, share = lane.across / 8, mine = rank / share;
    for (int base = from - (from & (lane.groups - 1)); base < to; base += 8 * lane.groups) {
        float part[8];
#pragma unroll
        for (int u = 0; u < 8; ++u) {
            int j = base + u * lane.groups + lane.group;
            part[u] = inside && j >= from && j < to ? dot8(e, lane.weights(w, j)) : 0;
        }
#pragma unroll
        for (int half = 4; half > 0; half /= 2) {
            bool upper_half = mine & half;
            for (int u = 0; u < half; ++u) {
                float give = upper_half ? part[u] : part[u + half], keep = upper_half ? part[u + half] : part[u];
                part[u] = keep + __shfl_xor_sync(0xffffffffu, give, half * share);
            }
        }
        for (int offset = share / 2; offset > 0; offset /= 2) part[0] += __shfl_xor_sync(0xffffffffu, part[0], offset);
        int j = base + mine * lane.groups + lane.group;
        if (rank % share == 0 && j >= from && j < to) dots[j] += part[0];
    }
}

// Calls body(column, inside, weights) for all slices of one warp, with the lane's first column. The warp's buffer of
// `capacity` entries holds one slice of all entries, or two or four slices where there are few entries: while one is in
// use, the others are being copied. A lane reads only what it has copied, so no barrier is needed.
template <typename Body>
__device__ __forceinline__ void each_slice(const DecodeParams& p, const SliceLane& lane, const DecodeLists& lists,
                                           int live, bf16_bits* buffer, Body body) {
    const int warp = threadIdx.x / 32, warps = blockDim.x / 32, slices = (p.lo + p.slice - 1) / p.slice;
    const int stages = live * 4 <= p.capacity ? 4 : live * 2 <= p.capacity ? 2 : 1;
    const int size = p.capacity / stages * p.slice;
    auto fetch = [&](int round) {
        int column = (warp + round * warps) * p.slice + lane.column;
        bf16_bits* to = buffer + round % stages * size + lane.column;
        if (column < p.lo)
#pragma unroll 4
            for (int j = lane.first(0); j < live; j += lane.groups)
                cp_async16(to + j * p.slice, p.w_dec + size_t(lists.rows[j]) * p.lo + column, 16);
        cp_async_commit();
    };
    for (int round = 0; round < stages; ++round) fetch(round);
    for (int round = 0, slice = warp; slice < slices; ++round, slice += warps) {
        if (stages == 4) cp_async_wait<3>();
        else if (stages == 2) cp_async_wait<1>();
        else cp_async_wait<0>();
        int column = slice * p.slice + lane.column;
        body(column, column < p.lo, buffer + round % stages * size);
        fetch(round + stages);
    }
    cp_async_wait<0>();
}

// The lists in words, 15 bytes or less of alignment, and the memory of each warp: its reconstructions of all levels,
// and a slice of the rows of its entries.
constexpr int decode_shared_bytes(int warps, int active, int levels, int gates, int slice) {
    return (6 * DECODE_WARPS + (1 + gates) * warps * active + levels + 1 + (3 + gates) * active) * 4 + 16
        + warps * ((levels > 1 ? levels * 1024 : 0) + active * slice * 2);
}

struct DecodeMemory {
    float* scratch;         // [6, warps]
    float* dots;            // [1 + gates, warps, k]
    DecodeLists lists;
    float* level_errors;    // [levels, 32, 8] of this warp; null with one level
    bf16_bits* weights;     // [capacity, slice] of this warp
};

__device__ __forceinline__ DecodeMemory decode_memory(const DecodeParams& p) {
    const int warp = threadIdx.x / 32, warps = blockDim.x / 32, gates = p.gate ? 1 : 0;
    DecodeMemory m;
    m.scratch = &shared_memory<float>();
    m.dots = m.scratch + 6 * DECODE_WARPS;
    m.lists.level_start = reinterpret_cast<int*>(m.dots + (1 + gates) * warps * p.active);
    m.lists.position = m.lists.level_start + p.levels + 1;
    m.lists.rows = m.lists.position + p.active;
    m.lists.values = reinterpret_cast<float*>(m.lists.rows + p.active);
    m.lists.gates = m.lists.values + p.active;
    // an offset: the compiler does not treat a rounded pointer as one to shared memory
    const int words = 6 * DECODE_WARPS + (1 + gates) * warps * p.active + p.levels + 1 + (3 + gates) * p.active;
    auto rest = reinterpret_cast<unsigned char*>(m.scratch) + ((words * 4 + 15) & ~15);
    const int level_bytes = p.levels > 1 ? p.levels * 1024 : 0;
    rest += warp * (level_bytes + p.capacity * p.slice * 2);
    m.level_errors = level_bytes ? reinterpret_cast<float*>(rest) : nullptr;
    m.weights = reinterpret_cast<bf16_bits*>(rest + level_bytes);
    return m;
}
