// encode: pre-activations a = (x - b_dec) WEncᵀ + b_enc by tensor cores, filtered while they are in registers; [B, n]
// is never stored.
//
// A row's limit is the key of the k-th largest value (with `magnitude`: of |z|) among the columns seen so far. It only
// rises, so a later column at or below it is not in the top k. At equality the earlier, lower column wins, so the exact
// test is strictly greater. The host runs growing chunks of columns in ascending order: `encode` on a chunk, then
// `select_threshold` (select.cu) for the next limit, and at the end `select_final`. The first chunk keeps everything.
// `encode_exact`, which cannot overflow, recomputes the rows whose candidates exceed their capacity.
#include "mma_tile.cuh"
#include "select.cuh"

// Scratch for the 16 values that a thread holds of one row, in the tile's memory: the rare path indexes them, and
// registers cannot be indexed. The slots of two threads are 80 bytes apart: the 16-byte stores of 8 threads then access
// every bank once.
struct EncodeSlots { float value[TILE_THREADS][20]; };
static_assert(sizeof(EncodeSlots) <= sizeof(TileShared));

// Sums start at the bias, so the epilogue adds nothing. Columns that do not exist start at -infinity.
__device__ __forceinline__ void start_at_bias(const float* b_enc, const int* column_rows, int begin, int end,
                                              TileSums& sums) {
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            int column = begin + tile_column(n) + i;
            float bias = -__int_as_float(0x7f800000);
            if (column < end) bias = b_enc[column_rows ? column_rows[column] : column];
#pragma unroll
            for (int m = 0; m < 4; ++m) sums[m][n][i] = sums[m][n][i + 2] = bias;
        }
}

// The largest of the 16 values that a thread holds of a row.
template <typename Of> __device__ __forceinline__ float row_maximum(const TileSums& sums, int m, int row_half, Of of) {
    float largest = fmaxf(of(sums[m][0][row_half * 2]), of(sums[m][0][row_half * 2 + 1]));
#pragma unroll
    for (int n = 1; n < 8; ++n)
        largest = fmaxf(largest, fmaxf(of(sums[m][n][row_half * 2]), of(sums[m][n][row_half * 2 + 1])));
    return largest;
}

// Calls append(tile row, key) for every value of the tile that reaches its row's limit. row_limit(tile row) is read
// once a row. The common path takes 15 maxima and one comparison for 16 values.
template <typename Limit, typename Append>
__device__ __forceinline__ void filter_tile(const TileSums& sums, int begin, int end, int magnitude, EncodeSlots& slots,
                                            Limit row_limit, Append append) {
    float* slot = slots.value[threadIdx.x];
#pragma unroll
    for (int m = 0; m < 4; ++m)
#pragma unroll
        for (int row_half = 0; row_half < 2; ++row_half) {
            const int row = tile_row(m, row_half);
            const uint32_t limit = row_limit(row);
            const float largest = magnitude ? row_maximum(sums, m, row_half, [](float z) { return fabsf(z); })
                                            : row_maximum(sums, m, row_half, [](float z) { return z; });
            if (largest <= limit_floor(limit)) continue;
#pragma unroll
            for (int n = 0; n < 8; ++n) {
                slot[n * 2] = sums[m][n][row_half * 2];
                slot[n * 2 + 1] = sums[m][n][row_half * 2 + 1];
            }
#pragma unroll 1
            for (int i = 0; i < 16; ++i) {
                int column = begin + tile_column(i / 2) + i % 2;
                const uint64_t key = candidate_key(slot[i], column, magnitude);
                if (column < end && uint32_t(key >> 32) >= limit) append(row, key);
            }
        }
}

// Stores the whole tile: column c of a row goes to candidates[c - first].
__device__ __forceinline__ void store_tile(const TileSums& sums, int row_begin, int begin, int end,
                                           const EncodeParams& p) {
#pragma unroll
    for (int m = 0; m < 4; ++m)
#pragma unroll
        for (int row_half = 0; row_half < 2; ++row_half) {
            const int row = row_begin + tile_row(m, row_half);
            if (row >= p.rows) continue;
            uint64_t* to = p.candidates + int64_t(row) * p.stride - p.begin;
#pragma unroll
            for (int n = 0; n < 8; ++n)
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    int column = begin + tile_column(n) + i;
                    if (column < end) to[column] = candidate_key(sums[m][n][row_half * 2 + i], column, p.magnitude);
                }
        }
}

// encode: candidates of columns [begin, end)
//   in      x_centered [B, ld] bf16, w_enc [., ld] bf16, b_enc f32, limit [B]
//   out     candidates [B, stride], count [B]; dense: candidates at c - begin, count and limit unchanged, *overflows =
//           0
//   launch  grid ceil(B / 128) * ceil((end - begin) / 128), block 128, shared sizeof(TileShared) = 65536
//   needs   ld % 64 == 0, padding of both operands zero, 16-byte aligned rows; dense: end - begin <= stride
//   cost    2 B (end - begin) ld flops; bound by the tensor cores, or by shared memory on sm_90
//   order   candidates of a row come in any order; the set does not depend on it
SAE_KERNEL(encode, EncodeParams, TILE_THREADS) {
    auto& s = shared_memory<TileShared>();
    if (p.dense && blockIdx.x == 0 && threadIdx.x == 0) *p.overflows = 0;
    const int end = p.column_count ? min(p.end, *p.column_count) : p.end;
    const TilePosition at = tile_position(blockIdx.x, (p.rows + TILE - 1) / TILE, (p.end - p.begin + TILE - 1) / TILE);
    const int row_begin = at.row * TILE, begin = p.begin + at.column * TILE;
    if (begin >= end) return;

    TileSums sums;
    start_at_bias(p.b_enc, p.column_rows, begin, end, sums);
    tile_multiply({p.x_centered, p.ld, nullptr, row_begin, p.rows}, {p.w_enc, p.ld, p.column_rows, begin, end},
                  p.ld, s, sums);

    if (p.dense) {
        store_tile(sums, row_begin, begin, end, p);
        return;
    }
    filter_tile(sums, begin, end, p.magnitude, reinterpret_cast<EncodeSlots&>(s),
        [&](int row) { return row_begin + row < p.rows ? p.limit[row_begin + row] : 0xffffffffu; },
        [&](int row, uint64_t key) {
            int at_row = row_begin + row, position = atomicAdd(p.count + at_row, 1);
            if (position < p.capacity) p.candidates[int64_t(at_row) * p.stride + position] = key;
        });
}

struct EncodeExactShared {
    TileShared tile;
    SelectScratch select;
    int row[TILE];              // matrix row of a tile row
    int count[TILE];            // its candidates so far
    uint32_t limit[TILE];
};
constexpr int encode_exact_shared_bytes() { return sizeof(EncodeExactShared); }

// Reduces a row's part of `count` candidates to the best `active`, raises its limit, and clears the entries behind them
// up to `clear`.
__device__ __forceinline__ void tighten(uint64_t* part, int tile_row, int active, int clear, EncodeExactShared& s) {
    const int count = s.count[tile_row], kept = min(count, active);
    SelectKeys keys;
    select_load(part, count, keys);
    __syncthreads();
    const uint64_t cutoff = select_cutoff(keys, count, kept, s.select);
    const uint64_t kth = select_kth(keys, cutoff, s.select);
    select_take(keys, count, cutoff, s.select, [&](int position, uint64_t key) { part[position] = key; });
    for (int i = kept + threadIdx.x; i < clear; i += TILE_THREADS) part[i] = 0;
    if (threadIdx.x == 0) {
        s.count[tile_row] = kept;
        if (kept == active) s.limit[tile_row] = limit_after(kth);
    }
    __syncthreads();
}

// encode_exact: all columns for the rows that overflowed, with capacity for every tile before it is computed
//   in      redo [*overflows] rows, operands as in encode
//   out     candidates [row]: each of `segments` parts of stride / segments entries holds the best k of its share of
//           the columns, then zeros
//   launch  grid (ceil(B / 128), segments), block 128, shared sizeof(EncodeExactShared); blocks without rows return at
//           once
//   needs   stride / segments >= k + 128, stride <= 2048
//   cost    as encode for these rows, and a selection of a part every (stride / segments - k) candidates
//   order   none; the pre-activations are bit for bit those of encode
SAE_KERNEL(encode_exact, EncodeExactParams, TILE_THREADS) {
    auto& s = shared_memory<EncodeExactShared>();
    const int redo_begin = blockIdx.x * TILE, redo_end = min(*p.overflows, redo_begin + TILE);
    if (redo_begin >= redo_end) return;
    const int height = redo_end - redo_begin, room = p.stride / p.segments;
    s.row[threadIdx.x] = int(threadIdx.x) < height ? p.redo[redo_begin + threadIdx.x] : 0;
    s.count[threadIdx.x] = 0;
    s.limit[threadIdx.x] = int(threadIdx.x) < height ? 0 : 0xffffffffu;
    __syncthreads();
    auto part = [&](int tile_row) { return p.candidates + int64_t(s.row[tile_row]) * p.stride + blockIdx.y * room; };

    const int columns = p.column_count ? min(p.columns, *p.column_count) : p.columns;
    const int tiles = (columns + TILE - 1) / TILE, share = (tiles + p.segments - 1) / p.segments;
    const int end = min(columns, int(blockIdx.y + 1) * share * TILE);
#pragma unroll 1
    for (int begin = blockIdx.y * share * TILE; begin < end; begin += TILE) {
        TileSums sums;
        start_at_bias(p.b_enc, p.column_rows, begin, end, sums);
        tile_multiply({p.x_centered, p.ld, p.redo, redo_begin, redo_end},
                      {p.w_enc, p.ld, p.column_rows, begin, end}, p.ld, s.tile, sums);
        filter_tile(sums, begin, end, p.magnitude, reinterpret_cast<EncodeSlots&>(s.tile),
                    [&](int row) { return s.limit[row]; },
                    [&](int row, uint64_t key) { part(row)[atomicAdd(&s.count[row], 1)] = key; });
        __syncthreads();
        for (int row = 0; row < height; ++row)
            if (s.count[row] > room - TILE) tighten(part(row), row, p.active, 0, s);
    }
    for (int row = 0; row < height; ++row) tighten(part(row), row, p.active, room, s);
}
