// select.cu, batch.cu, groups.cu, levels.cu: from the candidates to the code.
#pragma once
#include "encode.h"

// Reduces the candidates of every row to the best k; see select.cu.
struct SelectThresholdParams {
    uint64_t* candidates;           // [B, stride]
    int* count;                     // [B]
    uint32_t* limit;                // [B]
    const int* column_count;        // see EncodeParams
    RowBuckets* buckets;            // [B] that start with the k best; or null
    int stride, capacity;
    int active;                     // k
    // With chunk_end > 0 the candidates are 0 or k `carried` ones of earlier chunks, then all columns of the chunk
    // [chunk_begin, chunk_end). Otherwise count is their number.
    int carried, chunk_begin, chunk_end;
};

struct SelectFinalParams {
    const uint64_t* candidates;
    const int* count;
    const int* column_count;
    const StepScalars* scalars;     // k is the number of values that are kept; null: all of them
    int* redo;                      // [B] rows that overflowed
    int* overflows;                 // [1]
    int* index;                     // [B, k]
    float* value;                   // [B, k]
    int stride, capacity;
    int active;
    int carried, chunk_begin, chunk_end;
    int relu;
    int exact;                      // 1: the rows of redo, from all of [stride]
};

// The B k largest positive values of the batch, by digits of the keys; see batch.cu.
struct BatchParams {
    const StepScalars* scalars;
    float* value;                   // [B, C]
    const int* place;               // [B, C] numbers of the entries in their keys, on several ranks; null: their order
    int* histogram;                 // [2048]
    uint64_t* cutoff;               // [1] the known digits of the cutoff
    int* left;                      // [1] keys to keep among those with the known digits; 0: the cutoff is final
    uint32_t* smallest;             // [1] bits of the smallest value kept
    float* threshold;               // [1] running
    int* overflows;                 // [1]
    StepSums* sums;
    int rows, active;               // B, C
    int want;                       // B k
    int shift, bits;                // the digit of this pass
    int whole;                      // 1: overflows are not counted here: C = n, or several ranks
    float decay;
};

struct GroupsParams {
    const uint64_t* candidates;     // [B, stride] columns [begin, end), column c at c - begin
    uint64_t* best;                 // [B] the best of the part of a group in earlier chunks
    int* index;                     // [B, k]
    float* value;                   // [B, k]
    int stride, begin, end;
    int size, active;               // columns of a group, k groups
};

struct LevelsParams {
    const int* index;               // [B, k]
    const float* value;             // [B, k]
    const StepScalars* scalars;
    uint8_t* level;                 // [B, k]
    int active, levels;
    int by_rank;                    // 1: budgets; 0: the step's prefixes
    int first;                      // the first latent of this rank
    int budgets[64];
};
