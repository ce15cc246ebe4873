// encode.cu, encode_f32.cu: pre-activations, and the candidates among them.
#pragma once
#include "step.h"

// Columns [begin, end) of the pre-activations, filtered into candidates; see encode.cu.
struct EncodeParams {
    const bf16_bits* x_centered;    // [B, ld]
    const bf16_bits* w_enc;         // [., ld]
    const float* b_enc;
    const int* column_rows;         // row of w_enc and b_enc behind a column; null: the column itself
    const int* column_count;        // number of columns, read on the device; null: all
    uint32_t* limit;                // [B] lowest order key of a candidate
    int* count;                     // [B] candidates found, also beyond capacity
    uint64_t* candidates;           // [B, stride]
    int* overflows;                 // [1]
    int rows, ld;                // B, ld
    int begin, end;
    int stride, capacity;
    int dense;                      // 1: all columns are kept, column c at c - begin
    int magnitude;                  // 1: |z| decides
};

// Counts of the elements of a row by their size; see buckets.cuh.
struct RowBuckets {
    float origin, scale;
    uint32_t reserved[2];
    int count[128];
};

// All columns of the rows that overflowed; see encode.cu.
struct EncodeExactParams {
    const bf16_bits* x_centered;
    const bf16_bits* w_enc;
    const float* b_enc;
    const int* column_rows;
    const int* column_count;
    const int* redo;                // [overflows] rows
    const int* overflows;           // [1]
    uint64_t* candidates;           // [B, stride]
    int ld, columns;
    int stride, segments;
    int active;                     // k
    int magnitude;                  // see EncodeParams
};

// Columns [begin, end) in float32, all kept; see encode_f32.cu.
struct EncodeF32Params {
    const float* x;                 // [B, ld]
    const float* b_dec;             // [ld]
    const bf16_bits* w_enc_hi;      // [., ld]
    const int16_t* w_enc_lo;        // null: bfloat16 storage
    const float* b_enc;
    const int* column_rows;
    const int* column_count;
    uint64_t* candidates;
    int* overflows;
    int rows, ld;
    int begin, end;
    int stride, offset;              // column c goes to offset + c - begin
    int magnitude;
};
