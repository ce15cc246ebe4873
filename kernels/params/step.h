// The numbers that change with every step, and the sums that a step measures.
#pragma once
#include <cstdint>

#include "codes.h"

using bf16_bits = uint16_t;

// The numbers that change with every step. On a device they lie in one block that each kernel reads, so that a captured
// graph stays valid from step to step.
struct StepScalars {
    uint64_t seed;              // the seed of the run
    uint32_t step;              // t, from 1
    // Set on the device: a row overflowed on the sparse path, so this pass moves nothing and the dense path follows. It
    // shares a word of 64 bits with step, which the host reads in one access.
    uint32_t abandoned;
    float learning_rate;        // the rate of this step
    float beta1, beta2, epsilon;
    float correction1;          // 1 / (1 - beta1^t); 1 for plain descent
    float correction2;          // 1 / (1 - beta2^t)
    float input_scale;          // x = input_scale * raw
    float loss_scale;           // c: L = c * sum |e|^2
    float aux_coefficient;      // alpha, 0 without auxiliary loss
    float clip_norm;            // the largest norm of a gradient
    float ema_decay;            // decay of the average of the weights, 0 for none
    uint32_t dead_after_steps;  // a latent is dead when step - last_fired >= this
    float penalty;              // lambda / B
    float power;                // p of the Lp penalty
    float next_power;           // p after its next change; its penalty is measured too
    float pre_act;              // lambda_P / B
    float weight_decay;         // decoupled decay of both matrices
    float target_scale;         // y = target_scale * raw target of a transcoder
    uint32_t k;                 // k of this step where k is annealed
    uint32_t inference;         // 1: BatchTopK keeps values above its running threshold
    Trainable trainable;        // the parameters that the optimizer moves
    uint32_t all_dead;          // 1: ghost gradients treat every latent as dead
    uint32_t prefix_count;      // the number of widths in prefix
    uint32_t prefix[16];        // widths of nested reconstructions, ascending; the last is all latents
    uint32_t input;             // input of the batch: 0 and 1 are batches, 2 and 3 lists of positions (PrepareParams)
    uint32_t reserved[20];
};
static_assert(sizeof(StepScalars) == 256);

// The sums that a step measures, in a fixed order.
struct StepSums {
    double squared_error;       // sum_b |xhat - y|^2, y the target: x unless transcoding
    double squared_norm;        // sum_b |y|^2
    double spread;              // sum_b |y - mean y|^2; 0 where all rows are equal
    double aux_squared_error;   // sum_b |ehat + e|^2
    double aux_variance;        // sum_b |e - mean e|^2
    double gradient_norm;       // global norm after projection, before clipping
    double level_error;         // sum_m w_m sum_b |e_m|^2 over nested reconstructions
    double gate_error;          // sum_b |xhat(relu pi) - y|^2 of Gated
    double penalty;             // sum_b sum_f of the penalty, without lambda
    double next_penalty;        // the same with next_power
    double pre_act;             // sum_b sum_f relu(theta - z) omega, without lambda_P
    double ghost;               // sum_b of the scaled ghost loss
    double reconstruction_norm; // sum_b |xhat|^2
    int64_t active;             // entries with value != 0
    int64_t overflows;          // rows that took the exact fallback
    int32_t dead;               // latents that are dead after this step
    uint32_t step;              // the step of these sums
    int32_t max_row;            // entries of the fullest row, those near a threshold included
    int32_t dense;              // 1: the step took the dense path
    float threshold;            // BatchTopK's running threshold
    int32_t screening_audits;   // audits of 8-bit screening since the start of the run
    int32_t screening_misses;   // entries that it lost in the audited steps
    float screening_shortfall;  // the largest excess of a lost entry over the one in its place
    uint32_t reserved[26];
};
static_assert(sizeof(StepSums) == 256);
