// activation.cuh: the selection and the loss, and the numbers of one latent and of one entry in them.
#pragma once
#include "step.h"

struct LossParams {
    SelectionCode selection;
    SmoothingKernel kernel;
    ThresholdForm form;
    int input_gradient;             // whether the estimate of the kernel is part of the gradient by z
    PenaltyCode penalty;
    PenaltyWeight weight;
    int rescale;                    // whether r of Gated is trained
    int live_gate;                  // whether the decoder has a gradient from the gate's reconstruction
    PreActCode pre_act;
    int adaptive;                   // whether the bandwidth is in units of the spread of the latent
    float tanh_scale;               // c of the tanh penalty
    float target;                   // the L0 of a TargetL0 penalty
    float bandwidth;                // epsilon of JumpReLU
    float reach;                    // distance from theta, in bandwidths, beyond which the kernel is 0
};

// The numbers of one latent in a step, besides its rows.
struct LatentScalars {
    float omega;                    // the weight of the penalty
    float norm;                     // |w_dec_f|, over sites their sum
    float theta;                    // in units of z
    float epsilon;                  // bandwidth of the JumpReLU kernel
    float exp_r;                    // e^r of Gated
    float gate, mag;                // b_gate, b_mag
    float floor;                    // z at or below it has no effect
    float pre_act;                  // lambda_P / B where that loss applies
};

// Gradients of one entry, or their sums over a latent's entries.
struct EntryGradient {
    float input;                    // derivative by <w, x - b_dec>
    float bias;                     // derivative by b_enc
    float norm;                     // derivative by omega
    float threshold;
    float mag, scale;               // derivatives by b_mag and r
    float base;                     // the pre-activation loss's slope on all rows
};
