// aux_loss.cu: the auxiliary losses of dead latents.
#pragma once
#include "step.h"

struct AuxParams {
    const int* index;               // [B, k_aux] slots, -1 for none
    const float* value;             // [B, k_aux]
    float* code;                    // [B, window]
    const float* code_grad;         // [B, window]
    float* residual;                // [B, lo] r
    const float* error;             // [B, lo] e
    const float* row_error;         // [B] |e|^2
    const float* residual_parts;    // [row_blocks, lo] column sums of e
    const double* means;            // [row_blocks, lo] means of e, by column_spread
    const double* spreads;          // [row_blocks, lo] sums of squared deviations from them
    const float* b_enc;             // [n]
    const int* aux_rows;            // [window]
    const StepScalars* scalars;
    const int* dead_count;
    const int* aux_count;           // [1] latents of the window on this rank
    const int* aux_total;           // [1] on all ranks
    float* row_aux_error;           // [B]
    float* scale;                   // [1]
    double* sums;                   // [2]
    double* parts;                  // [blocks, 3] partial sums
    int* ticket;                    // [1] 0 between launches
    float* bias_grad;               // [window]
    int rows, lo, row_blocks, active, window;
    int k;                          // k_aux, which may exceed the window
};
