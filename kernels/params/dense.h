// dense.cu: a chunk of W latents for the whole batch, matrices [B, W].
#pragma once
#include "loss.h"

struct DenseCodeParams {
    LossParams loss;
    const StepScalars* scalars;
    const LatentScalars* latents;   // [W] those of the chunk
    const float* b_enc;             // [W] those of the chunk
    const float* z;                 // [B, W] without the bias
    float* code;                    // [B, W] values; may be z
    float* gate;                    // [B, W] relu(pi), or null
    int* row_active;                // [B] += values that are not 0
    int* row_near;                  // [B] += z above the floor of the latent
    double* row_penalty;            // [B, 2] +=
    int* firings;                   // [W] those of the chunk, +=
    int rows;                       // B
    int width;                      // W of this chunk
    int stride;                     // W of the matrices
};

struct DenseResidualParams {
    const float* xhat;              // [levels, B, lo] without b_dec
    const float* b_dec;
    const float* y;                 // [B, lo]
    float* residual;                // [B, lo] e of the last level; may be xhat of a single one
    bf16_bits* residual_bf16;       // [levels, B, lo] sums of w_m e_m from a level on
    float* weighted;                // [levels, B, lo] the same in f32; may be xhat; null with a single level
    float* row_error;               // [B]
    float* row_level_error;         // [B] sum of w_m |e_m|^2, or null
    float* row_norm;                // [B] |y|^2, or null
    float* row_reconstruction;      // [B] |xhat|^2, or null
    int rows, lo, levels;
    float level_weight[16];
};

struct DenseGradientParams {
    LossParams loss;
    const StepScalars* scalars;
    const LatentScalars* latents;   // [W] those of the chunk
    const float* b_enc;             // [W] those of the chunk
    const float* step_penalty;
    float* z;                       // [B, W] without the bias; becomes 2c times the code
    float* grad;                    // [B, W] <w_dec, E>; becomes by <w, x - b_dec>
    float* gate;                    // [B, W] <w_dec, gate residual>; becomes 2c relu(pi); or null
    EntryGradient* sums;            // [W] those of the chunk
    int* above;                     // [W] rows with z >= theta, for the chunk
    float* above_gap;               // [W] their sums of theta - z
    int rows;                       // B
    int width;                      // W of this chunk
    int stride;                     // W of the matrices
};
