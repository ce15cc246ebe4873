// quantize.cu, screen.cu, rescore.cu: encode by 8-bit products, with exact values where these cannot exclude a
// candidate.
#pragma once
#include "step.h"

// The scale and the norm of a row in 8 bits.
struct ScreenRow {
    float step;                     // the value of one unit of its numbers; NaN: the row has no finite bound
    float norm;                     // an upper bound of the norm of the row and of its 8-bit form
};

// The results of audits since the start of the run.
struct ScreenAudit {
    int32_t audits;                 // steps
    int32_t misses;                 // entries of the exact code that the screened one lacked
    uint32_t shortfall;             // bits of the largest value missed minus the smallest that took its place
    uint32_t step;                  // the last audited step
};

struct ScreenScalesParams {
    const bf16_bits* x_centered;    // [B, ld]
    const bf16_bits* w_enc;         // [n, ld]
    const StepScalars* scalars;
    float* scale;                   // [ld] s
    int rows, latents, ld;
    int sample;                     // rows of w_enc that are sampled
    int every;                      // steps between two changes
};

struct QuantizeParams {
    const bf16_bits* from;          // [rows, ld]
    const float* scale;             // [ld] factors of the weights; the input is divided by them
    const StepScalars* scalars;
    const int* last_touched;        // [rows] step of the last change; null: all may have changed
    int* quantized_at;              // [rows] step when last quantized, 0 for none; null with last_touched
    int8_t* to;                     // [rows, ld]
    ScreenRow* row;                 // [rows]
    int rows, ld;
    int every;                      // see ScreenScalesParams
    int weights;                    // 1: dithered by row and column alone; 0: by the step too
};

struct ScreenParams {
    const int8_t* x;                // [B, ld]
    const int8_t* w;                // [n, ld]
    const ScreenRow* x_row;         // [B]
    const ScreenRow* w_row;         // [n]
    const float* b_enc;             // [n]
    const uint32_t* limit;          // see EncodeParams
    int* count;
    uint64_t* candidates;           // [B, stride] appended: column numbers
    int rows, ld;                // B, ld
    int begin, end;
    int stride, capacity;
    int magnitude;
    float margin;                   // in steps x norms; see screen.cu
    float rounding;                 // the error of float32 sums, relative to norms
};

struct RescoreParams {
    const bf16_bits* x_centered;    // [B, ld]
    const bf16_bits* w_enc;         // [n, ld]
    const float* b_enc;             // [n]
    const int* count;               // [B]
    uint64_t* candidates;           // [B, stride] from `first` on columns, which become keys
    int ld;
    int first, stride, capacity;
    int magnitude;
};

struct ScreenAuditParams {
    const int* index;               // [B, k] screened
    const float* value;
    const int* exact_index;         // [B, k]
    const float* exact_value;
    const ScreenRow* x_row;
    const ScreenRow* w_row;
    const float* b_enc;
    const StepScalars* scalars;
    ScreenAudit* audit;
    int active;
    float rounding;
};
