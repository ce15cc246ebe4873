// encode_columns: pre-activations of thresholded selections (ReLU, JumpReLU, Gated), kept where they exceed the
// threshold of their latent. A row that overflows is counted and this pass moves no parameter; the batch then takes the
// dense path.
#include "activation.cuh"
#include "mma_tile.cuh"

constexpr int COLLECT_THREADS = 128;

// encode_columns
//   in      x_centered [B, ld] bf16, w_enc [n, ld] bf16, b_enc, latents [n]
//   out     candidates [B, capacity], count [B] (zeroed before)
//   launch  grid ceil(B / 128) * ceil(n / 128), block 128, shared sizeof(TileShared)
//   needs   ld % 64 == 0, padding of both operands zero
//   order   candidates of a row come in any order
SAE_KERNEL(encode_columns, EncodeColumnsParams, TILE_THREADS) {
    auto& s = shared_memory<TileShared>();
    const TilePosition at = tile_position(blockIdx.x, (p.rows + TILE - 1) / TILE, (p.columns + TILE - 1) / TILE);
    const int row_begin = at.row * TILE, begin = at.column * TILE;
    TileSums sums = {};
    tile_multiply({p.x_centered, p.ld, nullptr, row_begin, p.rows}, {p.w_enc, p.ld, nullptr, begin, p.columns},
                  p.ld, s, sums);
    // The floors of the tile's columns, then scratch for the sums of 16 columns: the rare path indexes them, and
    // registers cannot be indexed. Slots are 80 bytes apart, as in encode.cu.
    auto floor = reinterpret_cast<float*>(&s), bias = floor + TILE;
    auto slot = bias + TILE + threadIdx.x * 20;
    floor[threadIdx.x] =
        begin + int(threadIdx.x) < p.columns ? p.latents[begin + threadIdx.x].floor : __int_as_float(0x7f800000);
    bias[threadIdx.x] = begin + int(threadIdx.x) < p.columns ? p.b_enc[begin + threadIdx.x] : 0;
    __syncthreads();
#pragma unroll
    for (int m = 0; m < 4; ++m)
#pragma unroll
        for (int row_half = 0; row_half < 2; ++row_half) {
            const int row = row_begin + tile_row(m, row_half);
            bool any = false;
#pragma unroll
            for (int n = 0; n < 8; ++n)
#pragma unroll
                for (int i = 0; i < 2; ++i)
                    any |= sums[m][n][row_half * 2 + i] + bias[tile_column(n) + i] > floor[tile_column(n) + i];
            if (!any || row >= p.rows) continue;
#pragma unroll
            for (int n = 0; n < 8; ++n) {
                slot[n * 2] = sums[m][n][row_half * 2];
                slot[n * 2 + 1] = sums[m][n][row_half * 2 + 1];
            }
#pragma unroll 1
            for (int i = 0; i < 16; ++i) {
                int column = tile_column(i / 2) + i % 2;
                float z = slot[i] + bias[column];
                if (!(z > floor[column])) continue;
                int position = atomicAdd(p.count + row, 1);
                if (position < p.capacity)
                    p.candidates[int64_t(row) * p.capacity + position] =
                        uint64_t(begin + column) << 32 | __float_as_uint(z);
            }
        }
}

constexpr int collect_shared_bytes(int active) { return active * sizeof(uint64_t); }

// collect
//   in      candidates [B, k], count [B]
//   out     the code of each row, ascending in latents: index, z, value, row_count; *overflows += rows over capacity,
//           which set `abandoned`
//   launch  grid B, block 128, shared collect_shared_bytes(k)
//   order   an entry's position is the number of smaller latents
SAE_KERNEL(collect, CollectParams, COLLECT_THREADS) {
    auto keys = &shared_memory<uint64_t>();
    const int64_t row = blockIdx.x;
    const int count = min(p.count[row], p.active);
    for (int i = threadIdx.x; i < count; i += blockDim.x) keys[i] = p.candidates[row * p.active + i];
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        int place = 0;
        for (int other = 0; other < count; ++other) place += keys[other] < keys[i];
        int f = int(keys[i] >> 32);
        float z = __uint_as_float(uint32_t(keys[i]));
        p.index[row * p.active + place] = f;
        p.pre_act[row * p.active + place] = z;
        p.value[row * p.active + place] = activation_value(z, p.latents[f], p.loss);
    }
    if (threadIdx.x != 0) return;
    p.row_count[row] = count;
    if (p.count[row] <= p.active) return;
    atomicAdd(p.overflows, 1);
    p.scalars->abandoned = 1;
}
