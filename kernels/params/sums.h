// sums.cu: sums over blocks of rows, and the sums that a step measures.
#pragma once
#include "screen.h"

// Sums over blocks of 64 rows; see sums.cu.
struct ColumnSumsParams {
    const float* residual;          // [B, lo]
    const float* weighted;          // [B, lo] the residual of the gradient of b_dec; null: the residual itself
    const float* gate;              // [B, lo] added to it; or null
    float* residual_parts;          // [blocks, lo]
    float* weighted_parts;          // [blocks, lo]
    int rows, lo;
};

// Spread over blocks of 64 rows; see spread.cuh.
struct ColumnSpreadParams {
    const float* values;            // [B, lo]
    double* means;                  // [blocks, lo]
    double* spreads;                // [blocks, lo] sums of squared deviations from them
    int rows, lo;
};

struct StepSumsParams {
    const StepScalars* scalars;
    const float* row_error;
    const float* row_norm;
    const float* row_level_error;   // null: row_error
    const float* row_gate_error;    // null but for Gated
    const float* row_reconstruction;
    const int* row_active;
    const int* row_near;            // [B] entries, those near a threshold included; null: row_active
    const double* row_penalty;      // [B, 2]; null without a penalty
    const double* pre_act_loss;     // [n]; null without that loss
    const double* means;            // [blocks, lo] means of the target, by column_spread
    const double* spreads;          // [blocks, lo] sums of squared deviations from them
    const int* overflows;           // [overflow_counts]
    const int* dead_count;          // [1]
    const double* aux_sums;         // [2] error, variance; null without auxiliary loss
    const double* ghost;            // [1]; null without ghosts
    const double* gradient_norm;    // [1]
    const float* threshold;         // [1]; null but for BatchTopK
    const ScreenAudit* screening;   // [1]; null without audits
    double* parts;                  // [grid, 12]
    int* ticket;                    // [1] blocks that are done; 0 between launches
    StepSums* sums;
    int rows, lo, latents, overflow_counts;
    PenaltyCode penalty;
    int dense;                      // 1: the step took the dense path
    float target;                   // the L0 of a TargetL0 penalty
};
