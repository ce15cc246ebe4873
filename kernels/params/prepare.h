// prepare.cu: the input of a step from raw rows.
#pragma once
#include "step.h"

struct PrepareParams {
    const void* batch[2];           // [B, width + out_width] in the type of the data: inputs 0 and 1
    const void* pool;               // rows of the data in the same form
    const int* lists;               // [2, B] positions in the pool: inputs 2 and 3
    const StepScalars* scalars;
    const float* b_dec;             // [ld]; null: the input is not centred
    float* x;                       // [B, ld]
    bf16_bits* x_centered;          // [B, ld]
    float* y;                       // [B, lo] target; null: the input
    int rows, width, ld;
    int out_width, lo;              // those of the target
    InputType type;                 // the type of batch and pool
};
