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
    float correction1;          // 1 / (1 - beta1^t); 1 for plain descent
    float correction2;          // 1 / (1 - beta2^t)
    float input_scale;          // x = input_scale * raw
    float loss_scale;           // c: L = c * sum |e|^2
    float aux_coefficient;      // alpha, 0 without auxiliary loss
    float clip_norm;
    float ema_decay;            // 0 for none
    uint32_t dead_after_steps;  // dead when step - last_fired >= this
    float penalty;              // lambda / B
    float power;                // p of the Lp penalty
    float next_power;           // p after its next change, whose penalty is measured too
    float pre_act;              // lambda_P / B
    float weight_decay;         // of both matrices, decoupled
    float target_scale;         // y = target_scale * raw target of a transcoder
    uint32_t k;                 // k of this step, where it is annealed
    uint32_t inference;         // 1: BatchTopK keeps what exceeds its running threshold
    uint32_t trainable;         // Training.Trainable
    uint32_t all_dead;          // 1: ghost gradients treat every latent as dead
    uint32_t prefix_count;      // widths of this step, all latents included
    uint32_t prefix[16];
    uint32_t reserved[22];
};
static_assert(sizeof(StepScalars) == 256);

// What a step measured. Training/StepSums.cs
struct StepSums {
    double squared_error;       // sum_b |xhat - y|^2, y the target: x unless transcoding
    double squared_norm;        // sum_b |y|^2
    double squared_mean;        // |sum_b y|^2 / B
    double aux_squared_error;   // sum_b |ehat + e|^2
    double aux_variance;        // sum_b |e - mean e|^2
    double gradient_norm;       // after projection, before clipping
    double level_error;         // sum_m w_m sum_b |e_m|^2 over nested reconstructions
    double gate_error;          // sum_b |xhat(relu pi) - y|^2 of Gated
    double penalty;             // sum_b sum_f of the penalty, without lambda
    double next_penalty;        // the same with next_power
    double pre_act;             // sum_b sum_f relu(theta - z) omega, without lambda_P
    double ghost;               // sum_b of the scaled ghost loss
    double reconstruction_norm; // sum_b |xhat|^2
    int64_t active;             // entries with value != 0
    int64_t overflows;          // rows that took the exact fallback
    int32_t dead;
    uint32_t step;
    int32_t max_row;            // entries of the fullest row, those near a threshold included
    int32_t dense;              // 1: the step took the dense path
    float threshold;            // BatchTopK's running threshold
    uint32_t reserved[29];
};
static_assert(sizeof(StepSums) == 256);

// ---------------------------------------------------------------------------------------------------------------------
// prepare.cu

struct PrepareParams {
    const void* raw;                // [B, d] of the input's own type
    const StepScalars* scalars;
    const float* b_dec;             // [ld]
    float* x;                       // [B, ld]
    bf16_bits* x_centered;          // [B, ld]
    int rows, width, pitch;
    int type;                       // 0 f32, 1 f16, 2 bf16
};

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

struct DecodeParams {
    const bf16_bits* w_dec;         // [n, ld]
    const float* b_dec;             // [ld]
    const float* x;                 // [B, ld]
    const int* index;               // [B, k]
    const float* value;             // [B, k]
    const StepScalars* scalars;
    float* residual;                // [B, ld]
    bf16_bits* residual_bf16;       // [B, ld]
    float* value_grad;              // [B, k]
    float* row_error;               // [B] |e|^2
    float* row_norm;                // [B] |x|^2
    int* row_active;                // [B] entries with value > 0
    int rows, pitch, active;
    int slice;                      // columns at a time
};

// Sums over blocks of 64 rows; see sums.cu.
struct ColumnSumsParams {
    const float* residual;          // [B, ld]
    const float* x;                 // [B, ld]
    float* residual_parts;          // [blocks, ld]
    float* x_parts;                 // [blocks, ld]
    int rows, pitch;
};

struct StepSumsParams {
    const StepScalars* scalars;
    const float* row_error;
    const float* row_norm;
    const int* row_active;
    const float* x_parts;           // [blocks, ld]
    const int* overflows;           // [1]
    const int* dead_count;          // [1]
    const double* aux_sums;         // [2] error, variance; null without auxiliary loss
    const double* gradient_norm;    // [1]
    StepSums* sums;
    int rows, pitch, blocks;
};

// ---------------------------------------------------------------------------------------------------------------------
// scan.cu: exclusive sums over n pairs (entries in the low half, parts in the high half)

struct ScanParams {
    const uint64_t* input;          // [n]
    uint64_t* block_sums;           // [blocks + 1]
    uint64_t* output;               // [n + 1]
    int length, blocks;
};

// index.cu
struct IndexParams {
    const int* index;               // [B, k]
    const float* value;             // [B, k]
    uint64_t* count;                // [n] entries | parts << 32
    const uint64_t* start;          // [n + 1]
    int* cursor;                    // [n]
    uint32_t* unsorted;             // [B k]
    uint32_t* entry;                // [B k] row k + slot, by latent, ascending
    int rows, active, latents;
};

// ---------------------------------------------------------------------------------------------------------------------
// update.cu, bias.cu

struct UpdateParams {
    const uint64_t* start;          // [n + 1]
    const uint32_t* entry;          // [B k]
    const float* value;             // [B, k]
    const float* value_grad;        // [B, k]
    const bf16_bits* residual;      // [B, ld]
    const bf16_bits* x_centered;    // [B, ld]
    const int* aux_slot;            // [n] or -1
    const float* aux_enc_grad;      // [window, ld]
    const float* aux_dec_grad;      // [window, ld]
    const float* aux_bias_grad;     // [window]
    const StepScalars* scalars;
    const float* clip_factor;       // [1]
    float* parts;                   // [parts, 2, ld] sums of 256 entries of long runs: w_dec, then w_enc
    float* parts_bias;              // [parts]
    bf16_bits* w_enc_hi;            // [n, ld]
    int16_t* w_enc_lo;              // null: bfloat16 storage
    bf16_bits* w_dec_hi;
    int16_t* w_dec_lo;
    float* b_enc;                   // [n]
    float* m_enc;                   // [n, ld]; null when beta1 is 0 or for plain descent
    float* v_enc;
    float* m_dec;
    float* v_dec;
    float* m_b_enc;                 // [n]
    float* v_b_enc;
    float* ema_enc;                 // null without average
    float* ema_dec;
    float* ema_b_enc;
    int* last_touched;              // [n]; null unless lazy
    float* bias_parts;              // [blocks, ld] sum of db_enc w_enc over the block's latents
    double* norm_parts;             // [blocks] squared norms
    int latents, pitch, active;
    int unit, adam, clip_rows;      // flags
    int measure;                    // 1: norms and bias_parts only
};

struct BiasParams {
    const StepScalars* scalars;
    const float* residual_parts;    // [row_blocks, ld]
    const float* bias_parts;        // [blocks, ld]
    const double* norm_parts;       // [blocks]
    float* gradient;                // [ld]
    double* norm;                   // [1] global norm of this step
    float* clip_factor;             // [1]
    float* b_dec;                   // [ld]
    float* m;
    float* v;
    float* ema;                     // null without average
    int row_blocks, blocks, pitch;
    int adam, clip_rows, clip;      // clip: 1 when a global factor applies
};

// ---------------------------------------------------------------------------------------------------------------------
// latents.cu

struct LatentsParams {
    const int* index;               // [B, k]
    const float* value;
    const StepScalars* scalars;
    int* last_fired;                // [n]
    uint64_t* flag;                 // [n] 1 when dead
    const uint64_t* ordinal;        // [n + 1] dead latents before f
    int* dead_count;                // [1]
    int* aux_rows;                  // [window]
    int* aux_count;                 // [1]
    int* aux_slot;                  // [n]
    int entries, latents, window;
};

// ---------------------------------------------------------------------------------------------------------------------
// aux.cu

// C [m, n] = A [m, k] B [k, n] (+ add) with float32 sums; every extent may be cut by a count on the device.
struct AuxProductParams {
    const void* a;
    const void* b;
    const int* b_rows;              // row of b behind index k (b_gather 1) or n (b_gather 2)
    const float* add;               // [m, n] of pitch c_pitch, or null
    const float* mask;              // keep where it is not 0, pitch c_pitch, or null
    const float* scale;             // [1] or null
    float* c;
    const int* m_count;
    const int* n_count;
    const int* k_count;
    int64_t a_m, a_k, b_k, b_n;     // strides, elements
    int m, n, k, c_pitch;
    int a_bf16, b_bf16, b_gather;
};

struct AuxParams {
    const int* index;               // [B, k_aux] slots, -1 for none
    const float* value;             // [B, k_aux]
    float* code;                    // [B, window]
    const float* code_grad;         // [B, window]
    const float* residual;          // [B, ld] r
    const float* row_error;         // [B] |e|^2
    const float* residual_parts;    // [row_blocks, ld] column sums of e
    const StepScalars* scalars;
    const int* dead_count;
    const int* aux_count;
    float* row_aux_error;           // [B]
    float* scale;                   // [1]
    double* sums;                   // [2]
    float* bias_grad;               // [window]
    int rows, pitch, row_blocks, active, window;
};
