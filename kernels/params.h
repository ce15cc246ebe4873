// Every struct that crosses the border between C# and a kernel: one a kernel, passed by value. Plain C++, compiled by nvcc,
// by g++ for the emulator, and by the layout test. Mirrors: src/CudaSae/Devices/KernelParams.cs, Training/StepScalars.cs, StepSums.cs.
// Pointers are 64-bit on both sides. Letters: B rows, d width, n latents, k active, ld = d rounded up to 64.
// Every [., d] array on the device has row pitch ld, and its padding is zero.
#pragma once
#include <cstdint>

using bf16_bits = uint16_t;

// The numbers that change with every step, in device memory. Training/StepScalars.cs
struct StepScalars {
    uint64_t seed;
    uint32_t step;              // t, from 1
    float learning_rate;
    float beta1, beta2, epsilon;
    float correction1;          // 1 / (1 - beta1^t)
    float correction2;          // 1 / (1 - beta2^t)
    float input_scale;          // x = input_scale * raw
    float loss_scale;           // 1 / (B * Var): L = loss_scale * sum |e|^2
    float aux_coefficient;      // alpha
    float clip_norm;
    float ema_decay;            // 0 for none
    uint32_t dead_after_steps;  // dead when step - last_fired >= this
    uint32_t reserved[17];
};
static_assert(sizeof(StepScalars) == 128);

// What a step measured. Training/StepSums.cs
struct StepSums {
    double squared_error;       // sum_b |xhat - x|^2
    double squared_norm;        // sum_b |x|^2
    double squared_mean;        // |sum_b x|^2 / B
    double aux_squared_error;   // sum_b |ehat + e|^2
    double aux_variance;        // sum_b |e - mean e|^2
    double gradient_norm;       // after projection, before clipping
    int64_t active;             // entries with value > 0
    int64_t overflows;          // rows that took the exact fallback
    int32_t dead;
    uint32_t step;
    uint32_t reserved[14];
};
static_assert(sizeof(StepSums) == 128);

// ---------------------------------------------------------------------------------------------------------------------
// prepare.cu

// ---------------------------------------------------------------------------------------------------------------------
// encode.cu, encode_f32.cu, select.cu

// Columns [begin, end) of the pre-activations, filtered into candidates; see encode.cu.
struct EncodeParams {
    const bf16_bits* x_centered;    // [B, ld]
    const bf16_bits* w_enc;         // [., ld]
    const float* b_enc;
    const int* column_rows;         // row of w_enc and b_enc behind a column; null: the column itself
    const int* column_count;        // columns that exist, read on the device; null: all
    const uint32_t* limit;          // [B] lowest order_key that is a candidate
    int* count;                     // [B] candidates found, also beyond capacity
    uint64_t* candidates;           // [B, pitch]
    int* overflows;                 // [1]
    int rows, depth;                // B, ld
    int begin, end;
    int pitch, capacity;
    int dense;                      // 1: keep everything, column c at c - begin
};

// Rows that overflowed, all columns again; see encode.cu.
struct EncodeExactParams {
    const bf16_bits* x_centered;
    const bf16_bits* w_enc;
    const float* b_enc;
    const int* column_rows;
    const int* column_count;
    const int* redo;                // [overflows] rows
    const int* overflows;           // [1]
    uint64_t* candidates;           // [B, pitch]
    int depth, columns;
    int pitch, segments;
    int active;                     // k
};

// Columns [begin, end) in float32, all kept; see encode_f32.cu.
struct EncodeF32Params {
    const float* x;                 // [B, ld]
    const float* b_dec;             // [ld]
    const bf16_bits* w_enc_hi;      // [., ld]
    const int16_t* w_enc_lo;        // null: bfloat16 storage
    const float* b_enc;
    const int* column_rows;
    const int* column_count;
    uint64_t* candidates;
    int* overflows;
    int rows, depth;
    int begin, end;
    int pitch, offset;              // column c goes to offset + c - begin
};

// Candidates of every row down to the best k; see select.cu.
struct SelectThresholdParams {
    uint64_t* candidates;           // [B, pitch]
    int* count;                     // [B]
    uint32_t* limit;                // [B]
    const int* column_count;        // as in EncodeParams
    int pitch, capacity;
    int active;                     // k
    int offset, begin, end;         // end > 0: a chunk kept whole, behind `offset` = 0 or k best; else count says
};

struct SelectFinalParams {
    const uint64_t* candidates;
    const int* count;
    const int* column_count;
    int* redo;                      // [B] rows that overflowed
    int* overflows;                 // [1]
    int* index;                     // [B, k]
    float* value;                   // [B, k]
    int pitch, capacity;
    int active;
    int offset, begin, end;
    int relu;
    int again;                      // 1: the rows of redo, from all of [pitch]
};

// ---------------------------------------------------------------------------------------------------------------------
// decode.cu

// ---------------------------------------------------------------------------------------------------------------------
// index.cu

// ---------------------------------------------------------------------------------------------------------------------
// update.cu, bias.cu

// ---------------------------------------------------------------------------------------------------------------------
// latents.cu

// ---------------------------------------------------------------------------------------------------------------------
// aux.cu

// ---------------------------------------------------------------------------------------------------------------------
// dense.cu
