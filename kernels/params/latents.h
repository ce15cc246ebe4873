// latents.cu, scan.cu: which latents are dead, and in which order.
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
    const uint64_t* rank_dead;      // [P] dead latents of each rank; null: one process
    int* dead_count;                // [1] of all ranks
    int* aux_rows;                  // [window]
    int* aux_count;                 // [1] latents of the window on this rank
    int* aux_total;                 // [1] latents of the window on all ranks; null: one process
    int* aux_slot;                  // [n]
    int rows, active, latents, window;
    int early;                      // 1: the window of this step, as it begins
    int rank, ranks;
};

// Exclusive sums over n numbers.
struct ScanParams {
    const uint64_t* input;          // [n]
    uint64_t* tile_sums;            // [tiles] before each tile of 2048
    int* ticket;                    // [1] blocks that are done; 0 between launches
    uint64_t* output;               // [n + 1]
    int length, tiles;
};
