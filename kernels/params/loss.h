// activation.cuh: what a selection and a loss are made of, and what one latent and one entry bring to it.
#pragma once
#include "step.h"

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
