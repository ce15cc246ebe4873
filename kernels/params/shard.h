// shard.cu: the exchanges between ranks that hold parts of the latents. P ranks; rank r owns the rows
// [r R, (r + 1) R), R = ceil(B / P), as far as the batch has them.
#pragma once
#include "screen.h"

struct ShardOfferParams {
    const int* index;               // [B, k]
    const float* value;             // [B, k]
    float* offers;                  // [P R, k] NaN where an entry is not a candidate
    int rows, active, all_rows;     // B, k, P R
    int zeros;                      // 1: an entry of value 0 or below is a candidate
};

// Selects the largest candidates of the owned rows.
struct ShardSelectParams {
    const StepScalars* scalars;     // k is the number of entries that a row keeps; null: keep
    const float* offers;            // [P, R, k]
    uint8_t* answers;               // [P, R, 4 + k rounded up to 4]; see shard.cu
    int* overflows;                 // [1] counts the rows that keep all of `keep` entries; null: not counted
    int ranks, rows_each;           // P, R
    int owned;                      // rows that this rank owns
    int active, keep;               // k, and the most entries that a row keeps
    int magnitude;                  // 1: magnitudes are compared
    int levels;                     // nested reconstructions by rank in the row; 1: none
    int budgets[64];
};

struct ShardApplyParams {
    const uint8_t* answers;         // [P R, 4 + k rounded up to 4]
    int* index;                     // [B, k] -1 where an entry is not kept; null: unchanged
    float* value;                   // [B, k] 0 where an entry is not kept; null: unchanged
    uint8_t* level;                 // [B, k]; null without levels
    int* place;                     // [B, k] row k + the number of kept entries before this one on all ranks; null
    int rows, active;
};

struct ShardAddParams {
    const void* parts;              // [count, block]
    void* sum;                      // [block]
    const float* base;              // [base_length] added last, repeated; null: none
    int64_t block;
    int64_t first, base_length;     // place of the block in the whole array
    int count;
};

// The sums of b_dec's gradient and of squared norms over the latents of this rank.
struct ShardBiasParams {
    const float* bias_parts;        // [blocks, ld]; null: zeros
    const double* norm_parts;       // [blocks]
    double* sums;                   // [ld + 1] the columns, then the squared norm
    int blocks, ld;
};

// Joins what the ranks measured of their own latents.
struct ShardSumsParams {
    const StepSums* ranks_sums;     // [P]
    StepSums* sums;
    int ranks;
    int same_overflows;             // 1: every rank counted the overflows of all ranks
};

struct ShardAuditParams {
    const ScreenAudit* own;         // [1] of one step
    ScreenAudit* audit;             // [1] of all steps
};

// Finds rows without room for the entries of all ranks.
struct ShardRoomParams {
    StepScalars* scalars;
    const int* count;               // [B] entries of all ranks
    int* row_near;                  // [B] the same, at most the capacity
    int* overflows;                 // [1]
    int rows, capacity;
};
