// decode.cu, decode_ranks.cu: reconstruction, residual and the gradient of the code.
#pragma once
#include "step.h"

struct DecodeParams {
    const bf16_bits* w_dec;         // [n, lo]
    const float* b_dec;             // [lo]
    const float* baseline;          // [B, lo] added to b_dec; null without a skip connection
    const float* y;                 // [B, lo]
    const int* index;               // [B, k]
    const float* value;             // [B, k]
    const float* gate;              // [B, k] relu(pi) of Gated, or null
    const int* row_count;           // [B], or null: k
    const uint8_t* level;           // [B, k], or null
    const StepScalars* scalars;
    float* residual;                // [B, lo] e of the reported level
    bf16_bits* residual_bf16;       // [levels, B, lo] sums of w_m e_m from a level on
    float* weighted;                // [B, lo] the first of these in f32; null where it is e
    float* gate_residual;           // [B, lo]
    bf16_bits* gate_residual_bf16;
    float* value_grad;              // [B, k]
    float* gate_grad;               // [B, k]
    float* row_error;               // [B] |e|^2
    float* row_norm;                // [B] |y|^2
    float* row_level_error;         // [B]
    float* row_gate_error;          // [B]
    float* row_reconstruction;      // [B] |xhat|^2
    int* row_active;                // [B] values that are not 0
    float* sums;                    // [levels, sum_rows, lo] by entries alone, on several ranks; else null
    float* gate_sums;               // [sum_rows, lo]
    int rows;
    int sum_rows;                   // rows of this launch: those of a chunk, or B
    int lo, active;
    int slice, capacity;                // columns of a warp at a time, and entries of its buffer
    int levels, report;
    int paired;                     // 1: entries of value 0 have gradients too
    float level_weight[64];
};
