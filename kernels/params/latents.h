// latents.cu, scan.cu, aux.cu: who is dead, in which order, and what dead latents learn from.
#pragma once
#include "step.h"

struct LatentsParams {
    const int* index;               // [B, k]
    const float* value;
    const int* row_count;           // [B], or null
    const StepScalars* scalars;
    int* last_fired;                // [n]
    int* firings;                   // [n] rows on which a latent fired
    uint64_t* flag;                 // [n] 1 when dead
    const uint64_t* ordinal;        // [n + 1] dead latents before f
    int* dead_count;                // [1]
    int* aux_rows;                  // [window]
    int* aux_count;                 // [1]
    int* aux_slot;                  // [n]
    int rows, active, latents, window;
    int early;                      // 1: the window of this step, as it begins
};

// Exclusive sums over n numbers.
struct ScanParams {
    const uint64_t* input;          // [n]
    uint64_t* tile_sums;            // [tiles] before each tile of 2048
    int* ticket;                    // [1] blocks that are done; 0 between launches
    uint64_t* output;               // [n + 1]
    int length, tiles;
};

struct AuxParams {
    const int* index;               // [B, k_aux] slots, -1 for none
    const float* value;             // [B, k_aux]
    float* code;                    // [B, window]
    const float* code_grad;         // [B, window]
    float* residual;                // [B, lo] r
    const float* error;             // [B, lo] e
    const float* row_error;         // [B] |e|^2
    const float* residual_parts;    // [row_blocks, lo] column sums of e
    const float* b_enc;             // [n]
    const int* aux_rows;            // [window]
    const StepScalars* scalars;
    const int* dead_count;
    const int* aux_count;
    float* row_aux_error;           // [B]
    float* scale;                   // [1]
    double* sums;                   // [2]
    double* parts;                  // [blocks, 2] of sums
    int* ticket;                    // [1] 0 between launches
    float* bias_grad;               // [window]
    int rows, pitch, row_blocks, active, window;
    int k;                          // k_aux, which may exceed the window
};
