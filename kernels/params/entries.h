// latent_scalars.cu and entries.cu: the additional work of thresholded selections and their losses.
#pragma once
#include "loss.h"

struct LatentScalarsParams {
    LossParams loss;
    const StepScalars* scalars;
    const bf16_bits* w_dec_hi;      // [n, lo]
    const int16_t* w_dec_lo;
    const float* b_enc;             // [n]
    const float* threshold;         // [n] theta or log theta; null but for JumpReLU
    const float* b_mag;             // [n]
    const float* r_mag;
    const int* last_fired;
    const float* spread_z;          // [rows, n] pre-activations of the first rows, or null
    float* spread_mean;             // [n]
    float* spread_variance;         // [n]
    LatentScalars* latents;         // [n]
    int count, lo, spread_rows;
    int sites;
    int site_width[8];
};

struct EntriesParams {
    LossParams loss;
    const StepScalars* scalars;
    const LatentScalars* latents;   // [n]
    const int* index;               // [B, k]
    const int* row_count;           // [B], or null: k
    const float* value;             // [B, k]
    const float* pre_act;           // [B, k] z; null: the value
    const float* gate_grad;         // [B, k] from the gate's reconstruction
    const float* step_penalty;      // [1]
    float* value_grad;              // [B, k] from the reconstruction; becomes that by <w, x - b_dec>
    EntryGradient* gradient;        // [B, k]
    double* row_penalty;            // [B, 2]
    int rows, active;
};

struct StepPenaltyParams {
    LossParams loss;
    const StepScalars* scalars;
    const int* row_active;          // [B]
    float* step_penalty;            // [1] the factor of d sum 1[z > theta]
    int rows;
};

// Sums over each latent's entries, and the pre-activation loss in closed form.
struct LatentSumsParams {
    LossParams loss;
    const StepScalars* scalars;
    const LatentScalars* latents;
    const uint64_t* start;          // [n + 1]; null: sums holds the sums already (dense path)
    const uint32_t* entry;
    const EntryGradient* gradient;  // [B, k]
    const float* pre_act;           // [B, k]
    const float* input_sum;         // [ld] sum_b x - b_dec
    const bf16_bits* w_enc;         // [n, ld]
    const float* b_enc;
    const int* above;               // [n] rows with z >= theta, from the dense path
    const float* above_gap;         // [n] their sums of theta - z
    EntryGradient* sums;            // [n]
    double* pre_act_loss;           // [n]
    int count, rows, ld;
};

// sum_b of rows, see entries.cu
struct InputSumParams {
    const bf16_bits* x_centered;    // [B, ld]
    float* input_sum;               // [ld]
    int rows, ld;
};
