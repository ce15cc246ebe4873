// Every struct that crosses the border between C# and a kernel: one a kernel, passed by value. Plain C++, compiled by nvcc,
// by g++ for the emulator, and by the layout test. Mirrors: src/CudaSae/Devices/KernelParams.cs, Training/StepScalars.cs, StepSums.cs.
// Pointers are 64-bit on both sides. Letters: B rows, d width, n latents, k active, ld = d rounded up to 64.
// Every [., d] array on the device has row pitch ld, and its padding is zero.
#pragma once
#include <cstdint>

using bf16_bits = uint16_t;

// A CUtensorMap: how TMA finds a box of a matrix. Made by the driver, read by TMA out of the kernel's parameters.
struct alignas(64) TensorMap { uint64_t opaque[16]; };

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
    int32_t screening_audits;   // of 8-bit screening, since the run began
    int32_t screening_misses;   // entries that it lost in the audited steps
    float screening_shortfall;  // the largest of them above what took its place
    uint32_t reserved[26];
};
static_assert(sizeof(StepSums) == 256);

// ---------------------------------------------------------------------------------------------------------------------
// prepare.cu

struct PrepareParams {
    const void* raw;                // [B, width + out_width] of the input's own type; with a list, all rows of a pool
    const int* list;                // [B] where in raw the batch's rows stand; null: one after another
    const StepScalars* scalars;
    const float* b_dec;             // [ld]; null: the input is not centred
    float* x;                       // [B, ld]
    bf16_bits* x_centered;          // [B, ld]
    float* y;                       // [B, lo] target; null: the input
    int rows, width, pitch;
    int out_width, out_pitch;       // of the target
    int type;                       // 0 f32, 1 f16, 2 bf16
};

// ---------------------------------------------------------------------------------------------------------------------
// activation.cuh: what a selection and a loss are made of; the same for all latents

struct LossParams {
    int selection;                  // 0 bounded codes, 1 ReLU, 2 JumpReLU, 3 Gated
    int kernel;                     // SmoothingKernel
    int form;                       // ThresholdForm
    int input_gradient;             // whether the kernel's estimate reaches z
    int penalty;                    // 0 none, 1 L1, 2 tanh, 3 Lp, 4 L0, 5 target L0
    int weight;                     // PenaltyWeight
    int rescale;                    // whether Gated learns r
    int live_gate;                  // whether the gate's reconstruction teaches the decoder
    int pre_act;                    // 0 none, 1 all latents, 2 dead ones
    int adaptive;                   // bandwidth in units of the latent's spread
    float tanh_scale;
    float target;                   // of L0
    float bandwidth;
    float reach;                    // distance from theta, in bandwidths, beyond which the kernel is 0
};

// What one latent brings to a step besides its rows.
struct LatentScalars {
    float omega;                    // of the penalty
    float norm;                     // |w_dec_f|, over sites their sum
    float theta;                    // in units of z
    float epsilon;
    float exp_r;                    // e^r of Gated
    float gate, mag;                // b_gate, b_mag
    float low;                      // only z above this can matter
    float pre_act;                  // lambda_P / B where that loss applies
};

// Gradients of one entry, or their sums over a latent's entries.
struct EntryGradient {
    float input;                    // by <w, x - b_dec>
    float bias;                     // by b_enc
    float norm;                     // by omega
    float threshold;
    float mag, scale;               // by b_mag, by r
    float base;                     // the pre-activation loss's slope on all rows
};

// latent_scalars.cu
struct LatentScalarsParams {
    LossParams loss;
    const StepScalars* scalars;
    const bf16_bits* w_dec_hi;      // [n, lo]
    const int16_t* w_dec_lo;
    const float* b_enc;             // [n]
    const float* threshold;         // [n] theta or log theta; null but for JumpReLU
    const float* b_mag;             // [n]
    const float* r_mag;
    const int* last_fired;
    const float* spread_z;          // [rows, n] pre-activations of the first rows, or null
    float* spread_mean;             // [n]
    float* spread_square;
    LatentScalars* latents;         // [n]
    int count, pitch, spread_rows;
    int sites;
    int site_width[8];
};

// entries.cu
struct EntriesParams {
    LossParams loss;
    const StepScalars* scalars;
    const LatentScalars* latents;   // [n]
    const int* index;               // [B, k]
    const int* row_count;           // [B], or null: k
    const float* value;             // [B, k]
    const float* pre_act;           // [B, k] z; null: the value
    const float* gate_grad;         // [B, k] what the gate's reconstruction says
    const float* step_penalty;      // [1]
    float* value_grad;              // [B, k] what the reconstruction says, then by <w, x - b_dec>
    EntryGradient* gradient;        // [B, k]
    double* row_penalty;            // [B, 2]
    int rows, active;
};

struct StepPenaltyParams {
    LossParams loss;
    const StepScalars* scalars;
    const int* row_active;          // [B]
    float* step_penalty;            // [1] what multiplies d sum 1[z > theta]
    int rows;
};

// Sums over each latent's entries, and the pre-activation loss in closed form.
struct LatentSumsParams {
    LossParams loss;
    const StepScalars* scalars;
    const LatentScalars* latents;
    const uint64_t* start;          // [n + 1]; null: sums are there already (dense path)
    const uint32_t* entry;
    const EntryGradient* gradient;  // [B, k]
    const float* pre_act;           // [B, k]
    const float* input_sum;         // [ld] sum_b x - b_dec
    const bf16_bits* w_enc;         // [n, ld]
    const float* b_enc;
    const int* above;               // [n] rows with z >= theta, and their sum of theta - z, of the dense path
    const float* above_gap;
    EntryGradient* sums;            // [n]
    double* pre_act_loss;           // [n]
    int count, rows, pitch;
};

// sum_b of rows, see entries.cu
struct InputSumParams {
    const bf16_bits* x_centered;    // [B, ld]
    float* input_sum;               // [ld]
    int rows, pitch;
};

// dense.cu: a chunk of W latents against the whole batch, matrices [B, W]
struct DenseCodeParams {
    LossParams loss;
    const StepScalars* scalars;
    const LatentScalars* latents;   // of the chunk
    const float* b_enc;             // of the chunk
    const float* z;                 // [B, W] without the bias
    float* code;                    // [B, W] values; may be z
    float* gate;                    // [B, W] relu(pi), or null
    int* row_active;                // [B] += values that are not 0
    int* row_near;                  // [B] += z above low
    double* row_penalty;            // [B, 2] +=
    int* firings;                   // [n] of the chunk, +=
    int rows, width, pitch;         // W of this chunk, and of the matrices
};

struct DenseResidualParams {
    const float* xhat;              // [levels, B, lo] without b_dec
    const float* b_dec;
    const float* y;                 // [B, lo]
    float* residual;                // [B, lo] e of the last level; may be xhat of a single one
    bf16_bits* residual_bf16;       // [levels, B, lo] sums of w_m e_m from a level on
    float* weighted;                // [levels, B, lo] the same in f32; may be xhat; null with a single level
    float* row_error;               // [B]
    float* row_level_error;         // [B] sum of w_m |e_m|^2, or null
    float* row_norm;                // [B] |y|^2, or null
    float* row_reconstruction;      // [B] |xhat|^2, or null
    int rows, pitch, levels;
    float level_weight[16];
};

struct DenseGradientParams {
    LossParams loss;
    const StepScalars* scalars;
    const LatentScalars* latents;   // of the chunk
    const float* b_enc;             // of the chunk
    const float* step_penalty;
    float* z;                       // [B, W] without the bias; becomes 2c times the code
    float* grad;                    // [B, W] <w_dec, E>; becomes by <w, x - b_dec>
    float* gate;                    // [B, W] <w_dec, gate residual>; becomes 2c relu(pi); or null
    EntryGradient* sums;            // [n] of the chunk
    int* above;                     // [n] of the chunk
    float* above_gap;
    int rows, width, pitch;
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
    uint32_t* limit;                // [B] lowest order_key that is a candidate
    int* count;                     // [B] candidates found, also beyond capacity
    uint64_t* candidates;           // [B, pitch]
    int* overflows;                 // [1]
    int rows, depth;                // B, ld
    int begin, end;
    int pitch, capacity;
    int dense;                      // 1: keep everything, column c at c - begin
    int magnitude;                  // 1: |z| decides
};

// The elements of a row that were counted so far, by their size; see buckets.cuh.
struct RowBuckets {
    float low, scale;
    uint32_t reserved[2];
    int count[128];
};

// The same on Hopper; see sm90/encode_sm90.cu.
struct EncodeSm90Params {
    TensorMap x_map;                // x_centered [B, ld] in boxes of 128 rows x 64
    TensorMap w_map;                // w_enc [n, ld], too
    EncodeParams encode;            // column_rows and column_count null
    RowBuckets* buckets;            // [B] what raises limits; null: they stay
    int* again;                     // [1 + ceil(B / 128)] rows that found no room, and whether each tile of rows has any
    int repeat;                     // 1: those tiles alone
    int active;                     // k
    int cluster;                    // blocks that share a tile of weights, 1 or 2
    int skew;                       // steps of 64 by which the second warpgroup follows the first; 0: none
    int reserved[14];
};

// Rows over capacity, made ready for a second sweep; see sm90/encode_sm90.cu.
struct EncodeAgainParams {
    const RowBuckets* buckets;      // [B]
    uint32_t* limit;                // [B]
    int* count;                     // [B]
    int* again;                     // as in EncodeSm90Params
    int rows, capacity, active;
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
    int magnitude;                  // as in EncodeParams
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
    int magnitude;
};

// ---------------------------------------------------------------------------------------------------------------------
// quantize.cu, screen.cu, rescore.cu: encode by 8-bit products, with exact values for what they cannot rule out

// Of a row in 8 bits.
struct ScreenRow {
    float step;                     // what one step of its numbers is worth; NaN: the row has no finite bound
    float norm;                     // at least that of the row and of its 8-bit form
};

// What audits found since the run began.
struct ScreenAudit {
    int32_t audits;                 // steps
    int32_t misses;                 // entries of the exact code that the screened one lacked
    uint32_t shortfall;             // bits of the largest value missed less the smallest that took its place
    uint32_t step;                  // of the last one
};

struct ScreenScalesParams {
    const bf16_bits* x_centered;    // [B, ld]
    const bf16_bits* w_enc;         // [n, ld]
    const StepScalars* scalars;
    float* scale;                   // [ld] s
    int rows, latents, pitch;
    int sample;                     // rows of w_enc that are looked at
    int every;                      // steps between two changes
};

struct QuantizeParams {
    const bf16_bits* from;          // [rows, ld]
    const float* scale;             // [ld] of weights; the input is divided by it
    const StepScalars* scalars;
    const int* last_touched;        // [rows] step of the last change; null: all may have changed
    int* quantized_at;              // [rows] step of the last visit, 0 for none; null with last_touched
    int8_t* to;                     // [rows, ld]
    ScreenRow* row;                 // [rows]
    int rows, pitch;
    int every;                      // as in ScreenScalesParams
    int weights;                    // 1: dithered by row and column alone; 0: by the step too
};

struct ScreenParams {
    const int8_t* x;                // [B, ld]
    const int8_t* w;                // [n, ld]
    const ScreenRow* x_row;         // [B]
    const ScreenRow* w_row;         // [n]
    const float* b_enc;             // [n]
    const uint32_t* limit;          // as in EncodeParams
    int* count;
    uint64_t* candidates;           // [B, pitch] appended: the column alone
    int rows, depth;                // B, ld
    int begin, end;
    int pitch, capacity;
    int magnitude;
    float margin;                   // in steps x norms; see screen.cu
    float rounding;                 // of float32 sums, relative to norms
};

struct RescoreParams {
    const bf16_bits* x_centered;    // [B, ld]
    const bf16_bits* w_enc;         // [n, ld]
    const float* b_enc;             // [n]
    const int* count;               // [B]
    uint64_t* candidates;           // [B, pitch] from `first` on columns, which become keys
    int depth;
    int first, pitch, capacity;
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

// Thresholded selections: z above each latent's own limit, see encode_columns.cu.
struct EncodeColumnsParams {
    const bf16_bits* x_centered;    // [B, ld]
    const bf16_bits* w_enc;         // [n, ld]
    const float* b_enc;
    const LatentScalars* latents;   // [n]
    int* count;                     // [B] also beyond capacity
    uint64_t* candidates;           // [B, capacity] column << 32 | bits of z
    int rows, depth, columns, capacity;
};

struct EncodeColumnsSm90Params {
    TensorMap x_map;                // as in EncodeSm90Params
    TensorMap w_map;
    EncodeColumnsParams columns;
    int cluster, skew;
    int reserved[14];
};

struct CollectParams {
    LossParams loss;
    const LatentScalars* latents;
    const uint64_t* candidates;     // [B, k]
    const int* count;               // [B]
    int* index;                     // [B, k]
    float* value;
    float* pre_act;
    int* row_count;                 // [B]
    int* overflows;                 // [1] rows without room
    int active;
};

// Candidates of every row down to the best k; see select.cu.
struct SelectThresholdParams {
    uint64_t* candidates;           // [B, pitch]
    int* count;                     // [B]
    uint32_t* limit;                // [B]
    const int* column_count;        // as in EncodeParams
    RowBuckets* buckets;            // [B] begun with the k best; or null
    int pitch, capacity;
    int active;                     // k
    int offset, begin, end;         // end > 0: a chunk kept whole, behind `offset` = 0 or k best; else count says
};

struct SelectFinalParams {
    const uint64_t* candidates;
    const int* count;
    const int* column_count;
    const StepScalars* scalars;     // whose k says how many keep their value; null: all
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
// batch.cu

// The B k largest positive values of the batch, by digits of the keys; see batch.cu.
struct BatchParams {
    const StepScalars* scalars;
    float* value;                   // [B, C]
    int* histogram;                 // [2048]
    uint64_t* bound;                // [1] lowest key that is kept, as far as its digits are known
    int* left;                      // [1] keys to keep among those that begin with the known digits; 0: the bound is settled
    uint32_t* smallest;             // [1] bits of the smallest value kept
    float* threshold;               // [1] running
    int* overflows;                 // [1]
    StepSums* sums;
    int rows, active;               // B, C
    int want;                       // B k
    int shift, bits;                // this pass's digit
    int whole;                      // 1: C = n, no row can want more room
    float decay;
};

// groups.cu
struct GroupsParams {
    const uint64_t* candidates;     // [B, pitch] columns [begin, end), column c at c - begin
    uint64_t* best;                 // [B] of the part of a group that earlier chunks held
    int* index;                     // [B, k]
    float* value;                   // [B, k]
    int pitch, begin, end;
    int size, active;               // columns of a group, k groups
};

// levels.cu
struct LevelsParams {
    const int* index;               // [B, k]
    const float* value;             // [B, k]
    const StepScalars* scalars;
    uint8_t* level;                 // [B, k]
    int active, levels;
    int by_rank;                    // 1: budgets; 0: the step's prefixes
    int budgets[64];
};

// ---------------------------------------------------------------------------------------------------------------------
// decode.cu

struct DecodeParams {
    const bf16_bits* w_dec;         // [n, lo]
    const float* b_dec;             // [lo]
    const float* baseline;          // [B, lo] added to b_dec; null without a skip connection
    const float* y;                 // [B, lo]
    const int* index;               // [B, k]
    const float* value;             // [B, k]
    const float* gate;              // [B, k] relu(pi) of Gated, or null
    const int* row_count;           // [B], or null: k
    const uint8_t* level;           // [B, k], or null
    const StepScalars* scalars;
    float* residual;                // [B, lo] e of the reported level
    bf16_bits* residual_bf16;       // [levels, B, lo] sums of w_m e_m from a level on
    float* weighted;                // [B, lo] the first of these in f32; null where it is e
    float* gate_residual;           // [B, lo]
    bf16_bits* gate_residual_bf16;
    float* value_grad;              // [B, k]
    float* gate_grad;               // [B, k]
    float* row_error;               // [B] |e|^2
    float* row_norm;                // [B] |y|^2
    float* row_level_error;         // [B]
    float* row_gate_error;          // [B]
    float* row_reconstruction;      // [B] |xhat|^2
    int* row_active;                // [B] values that are not 0
    int rows, pitch, active;
    int slice, room;                // columns that a warp takes at a time, and entries of its buffer
    int levels, report;
    int paired;                     // 1: entries of value 0 have gradients too
    float level_weight[64];
};

// Sums over blocks of 64 rows; see sums.cu.
struct ColumnSumsParams {
    const float* residual;          // [B, lo]
    const float* weighted;          // [B, lo] what b_dec learns from; null: the residual
    const float* gate;              // [B, lo] added to it; or null
    const float* y;                 // [B, lo]
    float* residual_parts;          // [blocks, lo]
    float* weighted_parts;          // [blocks, lo]
    float* y_parts;                 // [blocks, lo]
    int rows, pitch;
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
    const float* y_parts;           // [blocks, lo]
    const int* overflows;           // [1]
    const int* dead_count;          // [1]
    const double* aux_sums;         // [2] error, variance; null without auxiliary loss
    const double* ghost;            // [1]; null without ghosts
    const double* gradient_norm;    // [1]
    const float* threshold;         // [1]; null but for BatchTopK
    const ScreenAudit* screening;   // [1]; null without audits
    double* parts;                  // [grid, 12]
    int* ticket;                    // [1] blocks that are done; 0 between launches
    StepSums* sums;
    int rows, pitch, blocks, latents;
    int penalty, dense;
    float target;
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
    const int* row_count;           // [B]; null: entries whose value is not 0
    const int* aux_slot;            // [n] or -1; null without dead latents' loss
    const LatentScalars* scalars;   // [n]; null where a latent brings nothing but its rows
    uint32_t* count;                // [n] entries; 0 between launches
    uint64_t* tile_sums;            // [tiles + 1] entries | parts << 32 before each tile of 2048 latents
    uint32_t* class_sums;           // [classes, tiles] latents of a class before each tile, and in all longer classes
    uint32_t* class_start;          // [classes] places in `order`, see runs.cuh
    int* ticket;                    // [1] blocks that are done; 0 between launches
    uint64_t* start;                // [n + 1]
    int* order;                     // [n] latents, longest class of runs first
    uint32_t* unsorted;             // [B k]
    uint32_t* entry;                // [B k] row k + slot, by latent, ascending
    int rows, active, latents, tiles;
};

// ---------------------------------------------------------------------------------------------------------------------
// update.cu, bias.cu

// The two moments of a matrix [rows, pitch]: float32, bfloat16, or eight bits with a scale a row (v as its square root).
struct MomentsParams {
    void* m;                        // null where there is none
    void* v;
    float* m_scale;                 // [rows] of eight bits
    float* v_scale;
    uint64_t id;                    // of the matrix, for its random numbers
    int storage;                    // MomentStorage
    int reserved;
};

// One number a latent.
struct LatentVectorParams {
    float* weights;                 // [n]; null where the spec has no use for it
    float* m;
    float* v;
    float* average;                 // null without average
};

struct UpdateParams {
    const uint64_t* start;          // [n + 1]
    const uint32_t* entry;          // [B k]
    const int* order;               // [n] latents in the order of their visits; null on the dense path: as they lie
    const uint32_t* class_start;    // places in `order`, see runs.cuh
    const float* value;             // [B, k]
    const float* gate;              // [B, k] of a live gate, or null
    const float* value_grad;        // [B, k]
    const uint8_t* level;           // [B, k], or null
    const bf16_bits* residual;      // [levels, B, lo]
    const bf16_bits* gate_residual; // [B, lo]
    const bf16_bits* x_centered;    // [B, ld]
    const EntryGradient* sums;      // [n]; null: the bias alone, from value_grad
    const float* input_sum;         // [ld] with the pre-activation loss
    const float* dense_enc;         // [W, ld] gradients of the chunk; null on the sparse path
    const float* dense_dec;         // [W, lo]
    const int* aux_slot;            // [n] or -1
    const float* aux_enc_grad;      // [window, ld]
    const float* aux_dec_grad;      // [window, lo]
    const float* aux_bias_grad;     // [window]
    const StepScalars* scalars;
    const float* clip_factor;       // [1]; null: 1
    float* parts;                   // [parts, lo + ld] sums of 256 entries of long runs
    float* parts_bias;              // [parts]
    bf16_bits* w_enc_hi;            // [n, ld]
    int16_t* w_enc_lo;              // null: bfloat16 storage
    bf16_bits* w_dec_hi;            // [n, lo]
    int16_t* w_dec_lo;
    MomentsParams m_enc;
    MomentsParams m_dec;
    LatentVectorParams b_enc;
    LatentVectorParams threshold;
    LatentVectorParams b_mag;
    LatentVectorParams r_mag;
    LatentVectorParams tie_scale;
    float* ema_enc;                 // null without average
    float* ema_dec;
    int* last_touched;              // [n]; null unless lazy
    float* bias_parts;              // [blocks, ld] sum of d<w, x> w_enc over the block's latents; null: not wanted
    double* norm_parts;             // [blocks] squared norms
    int rows, pitch, out_pitch, active;
    int first, count, latents;      // latents [first, first + count), of n
    int decoder_norm;               // DecoderNorm
    int optimizer;                  // OptimizerKind
    int clip_rows, measure;         // flags; measure: norms and bias_parts only
    int accumulate;                 // 1: bias_parts and norm_parts go on from the chunk before
    int tied;                       // Tying
    int direct;                     // 1: theta itself is moved, and kept at 0 or above
    int rescale;                    // 0: Gated's r stays
    int sites;
    int site_width[8];
};

struct BiasParams {
    const StepScalars* scalars;
    const float* residual_parts;    // [row_blocks, lo] what b_dec learns from
    const float* bias_parts;        // [blocks, ld]; null: b_dec is not subtracted from the input
    const double* norm_parts;       // [blocks]
    const double* skip_norm;        // [1] squared; null without a skip connection
    float* gradient;                // [lo]
    double* norm;                   // [1] global norm of this step
    float* clip_factor;             // [1]; null: 1
    float* b_dec;                   // [lo]
    float* m;
    float* v;
    float* ema;                     // null without average
    int row_blocks, blocks, pitch;
    int optimizer, clip_rows;
    int measured;                   // 1: the norm of this step is known already
};

// skip.cu
struct SkipParams {
    const StepScalars* scalars;
    const float* clip_factor;       // [1]; null: 1
    float* gradient;                // [D, ld]
    float* w_skip;                  // [D, ld]
    MomentsParams moments;
    double* norm_parts;             // [D]
    double* norm;                   // [1] squared
    int rows, pitch, optimizer, clip_rows;
};

// ---------------------------------------------------------------------------------------------------------------------
// latents.cu

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

// ---------------------------------------------------------------------------------------------------------------------
// product.cu: C [m, n] = A [m, k] B [k, n] (+ add) with float32 sums; every extent may be cut by a count on the device

struct ProductParams {
    const void* a;
    const void* b;
    const int* b_rows;              // row of b behind index k (b_gather 1) or n (b_gather 2)
    const float* add;               // [m, n] of pitch c_pitch, or null; may be c
    const float* mask;              // keep where it is not 0, pitch c_pitch, or null
    const float* scale;             // [1] or null
    float* c;
    const int* m_count;
    const int* n_count;
    const int* k_count;
    int64_t a_m, a_k, b_k, b_n;     // strides, elements
    int m, n, k, c_pitch;
    int a_bf16, b_bf16, b_gather;
    int mask_factor;                // 1: the mask is a factor
};

// hot.cu
struct HotParams {
    const int* index;               // [B, k]
    const float* value;             // [B, k]
    const StepScalars* scalars;
    int* firings;                   // [n] since the list was made
    int* hot;                       // [H] ascending
    int* hot_count;                 // [1]
    int* slot;                      // [n] of a dead latent below `window`; of a hot one window + its place; else -1
    float* code;                    // [B, H]
    int* cold_index;                // [B, k]
    float* cold_value;              // [B, k]
    int* cold_count;                // [B]
    int* row_hot;                   // [B]
    int* row_active;                // [B]
    float* scale;                   // [1]
    int rows, active, latents, window;
    int most;                       // H
    float density;
};

// aux.cu
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
    float* bias_grad;               // [window]
    int rows, pitch, row_blocks, active, window;
    int k;                          // k_aux, which may exceed the window
};

// ladder/*.cu: C = x wT + bias, the same on every rung
struct LadderParams {
    const bf16_bits* x;             // [B, ld]
    const bf16_bits* w;             // [n, ld]
    const float* bias;              // [n]
    float* c;                       // [B, n]
    int rows, columns, depth;       // B, n, ld
};
