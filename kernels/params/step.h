// What every kernel may need: the numbers that change with every step, and what a step measured.
#pragma once
#include <cstdint>

using bf16_bits = uint16_t;

// The numbers that change with every step, in device memory. Model/StepScalars.cs
struct StepScalars {
    uint64_t seed;
    uint32_t step;              // t, from 1
    uint32_t abandoned;         // set on the device: a row found no room on the sparse path, so this pass moves nothing; one word with step, which the host reads at once
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
    uint32_t input;             // where the batch lies: PrepareParams
    uint32_t reserved[20];
};
static_assert(sizeof(StepScalars) == 256);

// What a step measured. Model/StepSums.cs
struct StepSums {
    double squared_error;       // sum_b |xhat - y|^2, y the target: x unless transcoding
    double squared_norm;        // sum_b |y|^2
    double spread;              // sum_b |y - mean y|^2; 0 where all rows are equal
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
