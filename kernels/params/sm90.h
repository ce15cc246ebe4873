// sm90/*.cu: the parameters of the portable kernel, and those of TMA.
#pragma once
#include "encode.h"
#include "encode_columns.h"
#include "screen.h"

// A CUtensorMap: describes to TMA how a box of a matrix lies in memory. The driver makes it, and TMA reads it from the
// kernel's parameters. The driver's reference requires an alignment of 64 bytes; the headers of CUDA 13.0 declare 128.
struct alignas(128) TensorMap { uint64_t opaque[16]; };

// EncodeParams on Hopper; see sm90/encode_sm90.cu.
struct EncodeSm90Params {
    TensorMap x_map;                // x_centered [B, ld] in boxes of 128 rows x 64
    TensorMap w_map;                // w_enc [n, ld] likewise
    EncodeParams encode;            // column_rows and column_count null
    RowBuckets* buckets;            // [B] limits rise from these; null: limits stay
    int* retry;                     // [1 + ceil(B / 128)] rows that overflowed, then whether each tile has one
    int second_sweep;               // 1: only those tiles
    int active;                     // k
    int cluster;                    // blocks that share a tile of weights, 1 or 2
    int skew;                       // blocks of K by which the second consumer follows the first; 0: none
    int reserved[30];
};

// The rows over capacity, before a second sweep; see sm90/encode_sm90.cu.
struct EncodeRetryParams {
    const RowBuckets* buckets;      // [B]
    uint32_t* limit;                // [B]
    int* count;                     // [B]
    int* retry;                     // see EncodeSm90Params
    int rows, capacity, active;
};

struct EncodeColumnsSm90Params {
    TensorMap x_map;                // see EncodeSm90Params
    TensorMap w_map;
    EncodeColumnsParams columns;
    int cluster, skew;
    int reserved[14];
};

struct ScreenSm90Params {
    TensorMap x_map;                // x [B, ld] in 8 bits in boxes of 128 rows x 128
    TensorMap w_map;                // w [n, ld] likewise
    ScreenParams screen;
    int cluster;                    // see EncodeSm90Params
    int skew;                       // in blocks of 128
    int reserved[4];
};
