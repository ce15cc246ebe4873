// Warp tiles of 64 x 64, as in the engine (mma_tile.cuh): a warp reads 4 KB of shared memory for 65,536 products where
// 32 x 64 reads 3 KB for 32,768, and the fragments of a step load while those of the previous step are multiplied.
#include "../mma_tile.cuh"

// ladder_warp_tiles
//   in     x [B, ld] bf16, w [n, ld] bf16, bias [n] f32
//   out    c [B, n] f32
//   launch grid ceil(B / 128) * ceil(n / 128), block 128, shared sizeof(TileShared) = 65536
//   needs  ld % 32 == 0, 16-byte aligned rows
//   order  K ascending, 16 an instruction
SAE_KERNEL(ladder_warp_tiles, LadderParams, TILE_THREADS) {
    auto& s = shared_memory<TileShared>();
    const TilePosition at = tile_position(blockIdx.x, (p.rows + TILE - 1) / TILE, (p.columns + TILE - 1) / TILE);
    const int row_begin = at.row * TILE, column_begin = at.column * TILE;
    TileSums sums = {};
    tile_multiply({p.x, p.ld, nullptr, row_begin, p.rows}, {p.w, p.ld, nullptr, column_begin, p.columns}, p.ld,
                  s, sums);
#pragma unroll
    for (int m = 0; m < 4; ++m)
#pragma unroll
        for (int n = 0; n < 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int row = row_begin + tile_row(m, i / 2), column = column_begin + tile_column(n) + i % 2;
                if (row < p.rows && column < p.columns)
                    p.c[int64_t(row) * p.columns + column] = sums[m][n][i] + p.bias[column];
            }
}
