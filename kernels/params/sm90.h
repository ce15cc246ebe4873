// sm90/*.cu: the parameters of the portable kernel, and those of TMA.
#pragma once
#include "encode.h"
#include "encode_columns.h"
#include "screen.h"

// A CUtensorMap: how TMA finds a box of a matrix. The driver makes it, and TMA reads it out of the kernel's parameters.
// The driver's reference asks for an alignment of 64 bytes; the headers of CUDA 13.0 declare 128.
struct alignas(128) TensorMap { uint64_t opaque[16]; };

// EncodeParams on Hopper; see sm90/encode_sm90.cu.
struct EncodeSm90Params {
    TensorMap x_map;                // x_centered [B, ld] in boxes of 128 rows x 64
    TensorMap w_map;                // w_enc [n, ld] likewise
    EncodeParams encode;            // column_rows and column_count null
    RowBuckets* buckets;            // [B] from which limits are raised; null: limits stay
    int* again;                     // [1 + ceil(B / 128)] rows without room, then whether each tile has one
    int repeat;                     // 1: those tiles alone
    int active;                     // k
    int cluster;                    // blocks that share a tile of weights, 1 or 2
    int skew;                       // steps of 64 by which the second warpgroup follows the first; 0: none
    int reserved[30];
};

// The rows over capacity before a second sweep; see sm90/encode_sm90.cu.
struct EncodeAgainParams {
    const RowBuckets* buckets;      // [B]
    uint32_t* limit;                // [B]
    int* count;                     // [B]
    int* again;                     // see EncodeSm90Params
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
    int skew;                       // in steps of 128
    int reserved[4];
};
