// update.cu, bias.cu, skip.cu: the step of every weight by its gradient.
#pragma once
#include "loss.h"

// The two moments of a matrix: float32, bfloat16, or eight bits with a scale a row (v as its square root).
struct MomentsParams {
    void* m;                        // null where there is none
    void* v;
    float* m_scale;                 // [rows] scales of eight bits
    float* v_scale;
    uint64_t id;                    // the number of the matrix in its random numbers
    MomentStorage storage;
    int reserved;
};

// One number a latent.
struct LatentVectorParams {
    float* weights;                 // [n]; null where the spec has none
    float* m;
    float* v;
    float* average;                 // null without average
};

struct UpdateParams {
    const uint64_t* start;          // [n + 1]
    const uint32_t* entry;          // [B k]
    const int* order;               // [n] latents by run length, see runs.cuh; null on the dense path: ascending
    const uint32_t* class_start;    // positions in `order`; see runs.cuh
    const float* value;             // [B, k]
    const float* gate;              // [B, k] values of a live gate, or null
    const float* value_grad;        // [B, k]
    const uint8_t* level;           // [B, k], or null
    const bf16_bits* residual;      // [levels, B, lo]
    const bf16_bits* gate_residual; // [B, lo]
    const bf16_bits* x_centered;    // [B, ld]
    const EntryGradient* sums;      // [n]; null: the bias alone, from value_grad
    const float* input_sum;         // [ld] with the pre-activation loss
    const float* dense_enc;         // [W, ld] gradients of the chunk; null on the sparse path
    const float* dense_dec;         // [W, lo]
    const int* aux_slot;            // [n] or -1
    const float* aux_enc_grad;      // [window, ld]
    const float* aux_dec_grad;      // [window, lo]
    const float* aux_bias_grad;     // [window]
    const StepScalars* scalars;
    const float* clip_factor;       // [1]; null: 1
    float* parts;                   // [parts, lo + ld] sums of 256 entries of long runs
    float* parts_bias;              // [parts]
    bf16_bits* w_enc_hi;            // [n, ld]
    int16_t* w_enc_lo;              // null: bfloat16 storage
    bf16_bits* w_dec_hi;            // [n, lo]
    int16_t* w_dec_lo;
    MomentsParams m_enc;
    MomentsParams m_dec;
    LatentVectorParams b_enc;
    LatentVectorParams threshold;
    LatentVectorParams b_mag;
    LatentVectorParams r_mag;
    LatentVectorParams tie_scale;
    float* ema_enc;                 // null without average
    float* ema_dec;
    int* last_touched;              // [n]; null unless lazy
    float* bias_parts;              // [blocks, ld] sum of d<w, x> w_enc over the latents of a block; null: not needed
    double* norm_parts;             // [blocks] squared norms
    int rows, ld, lo, active;
    int first, count, latents;      // latents [first, first + count), of n
    int origin, all_latents;        // the number of latent 0 among those of all ranks, and their number
    DecoderNorm decoder_norm;
    OptimizerKind optimizer;
    int clip_rows;                  // 1: each row has its own factor
    int measure;                    // 1: norms and bias_parts only
    int accumulate;                 // 1: the chunk adds to bias_parts and norm_parts
    Tying tied;
    int direct;                     // 1: theta itself is moved, and kept at 0 or above
    int rescale;                    // 0: r of Gated is not trained
    int sites;
    int site_width[8];
};

struct BiasParams {
    const StepScalars* scalars;
    const float* residual_parts;    // [row_blocks, lo] column sums of the residual of its gradient
    const float* bias_parts;        // [blocks, ld]; null: b_dec is not subtracted from the input
    const double* norm_parts;       // [blocks]
    const double* rank_sums;        // [P, lo + 1] in place of both, on several ranks: columns, then the squared norm
    const double* skip_norm;        // [1] squared; null without a skip connection
    float* gradient;                // [lo]
    double* norm;                   // [1] global norm of this step
    float* clip_factor;             // [1]; null: 1
    float* b_dec;                   // [lo]
    float* m;
    float* v;
    float* ema;                     // null without average
    int row_blocks, blocks, lo, ranks;
    OptimizerKind optimizer;
    int clip_rows;                  // 1: each row has its own factor
    int measured;                   // 1: the norm of this step is known already
};

struct SkipParams {
    const StepScalars* scalars;
    const float* clip_factor;       // [1]; null: 1
    float* gradient;                // [D, ld]
    float* w_skip;                  // [D, ld]
    MomentsParams moments;
    double* norm_parts;             // [D]
    double* norm;                   // [1] squared
    int rows, ld;
    OptimizerKind optimizer;
    int clip_rows;                  // see BiasParams
};
