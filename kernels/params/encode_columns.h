// encode_columns.cu: codes of thresholded selections.
#pragma once
#include "loss.h"

// Thresholded selections: z above the threshold of its latent; see encode_columns.cu.
struct EncodeColumnsParams {
    const bf16_bits* x_centered;    // [B, ld]
    const bf16_bits* w_enc;         // [n, ld]
    const float* b_enc;
    const LatentScalars* latents;   // [n]
    int* count;                     // [B] also beyond capacity
    uint64_t* candidates;           // [B, capacity] column << 32 | bits of z
    int rows, ld, columns, capacity;
};

struct CollectParams {
    LossParams loss;
    const LatentScalars* latents;
    const uint64_t* candidates;     // [B, k]
    const int* count;               // [B]
    int* index;                     // [B, k]
    float* value;
    float* pre_act;
    int* row_count;                 // [B]
    int* overflows;                 // [1] rows that overflowed
    StepScalars* scalars;           // abandoned is set where a row overflowed
    int active;
};
