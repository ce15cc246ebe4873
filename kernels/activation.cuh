// The formulas of one entry of the code, shared by the sparse and the dense path: docs/internals/math.md, "Thresholds,
// gates and penalties".
#pragma once
#include "common.cuh"

__device__ __forceinline__ float gated_magnitude(float pi, const LatentScalars& l) {
    return l.exp_r * (pi - l.gate) + l.mag;
}

// The value of a pre-activation; 0 where the latent does not fire.
__device__ __forceinline__ float activation_value(float z, const LatentScalars& l, const LossParams& p) {
    if (p.selection != SelectionCode::Gated) return z > l.theta ? z : 0;
    return z > 0 ? fmaxf(0, gated_magnitude(z, l)) : 0;
}

// The penalty of an entry without lambda: of relu(pi) for Gated, else of its value.
__device__ __forceinline__ float penalty_value(float f, float omega, float power, const LossParams& p) {
    if (f == 0) return 0;
    switch (p.penalty) {
        case PenaltyCode::L1: return f * omega;
        case PenaltyCode::Tanh: return tanhf(p.tanh_scale * f * omega);
        case PenaltyCode::Lp: return powf(f * omega, power);
        default: return 0;
    }
}

__device__ __forceinline__ void penalty_slope(float f, float omega, float power, const LossParams& p, float& by_value,
                                              float& by_weight) {
    by_value = by_weight = 0;
    if (p.penalty == PenaltyCode::L1) {
        by_value = omega;
        by_weight = f;
    } else if (p.penalty == PenaltyCode::Tanh) {
        float t = tanhf(p.tanh_scale * f * omega), slope = p.tanh_scale * (1 - t * t);
        by_value = slope * omega;
        by_weight = slope * f;
    } else if (p.penalty == PenaltyCode::Lp && f > 0) {
        float slope = power * powf(f * omega, power - 1);
        by_value = slope * omega;
        by_weight = slope * f;
    }
}

// K(u) of SmoothingKernel, each of integral 1. Arguments are small, so the fast sine serves; the precise one keeps a
// table in local memory.
__device__ __forceinline__ float smoothing_kernel(SmoothingKernel kernel, float reach, float u) {
    float a = fabsf(u);
    if (a > reach) return 0;
    switch (kernel) {
        case SmoothingKernel::Rectangle: return a < 0.5f ? 1 : 0;
        case SmoothingKernel::Triangular: return fmaxf(0, 1 - a);
        case SmoothingKernel::Epanechnikov: return a < 1 ? 0.75f * (1 - u * u) : 0;
        case SmoothingKernel::Biweight: return a < 1 ? 0.9375f * (1 - u * u) * (1 - u * u) : 0;
        case SmoothingKernel::Gaussian: return expf(-u * u / 2) * 0.39894228f;
        case SmoothingKernel::Cosine: return (1 + __cosf(3.14159265f * u)) / 2;
        case SmoothingKernel::Cauchy: return 1 / (3.14159265f * (1 + u * u));
        default: return 0.5f * expf(-a * 0.70710678f) * __sinf(a * 0.70710678f + 0.78539816f);
    }
}

// g: dL/dvalue from the reconstruction. gate_g: dL/drelu(pi) from the gate's reconstruction. step_penalty: the factor
// of d sum 1[z > theta].
__device__ __forceinline__ EntryGradient entry_gradient(float z, float value, float g, float gate_g,
                                                        const LatentScalars& l, const StepScalars& s,
                                                        float step_penalty, const LossParams& p) {
    EntryGradient r = {};
    float by_value, by_weight;
    if (p.selection == SelectionCode::Gated) {
        if (!(z > 0)) return r;
        penalty_slope(z, l.omega, s.power, p, by_value, by_weight);
        if (p.weight == PenaltyWeight::DecoderNorm) r.norm = s.penalty * by_weight;
        r.bias = gate_g + s.penalty * by_value;
        r.mag = value != 0 ? g : 0;
        r.scale = r.mag * l.exp_r * (z - l.gate);
        r.input = r.bias + l.exp_r * r.mag;
        return r;
    }
    penalty_slope(value, l.omega, s.power, p, by_value, by_weight);
    if (value != 0 || p.selection == SelectionCode::JumpRelu) g += s.penalty * by_value;
    if (value != 0) {
        r.input = r.bias = g;
        if (p.weight == PenaltyWeight::DecoderNorm) r.norm = s.penalty * by_weight;
    }
    if (p.selection != SelectionCode::JumpRelu) return r;
    float density = smoothing_kernel(p.kernel, p.reach, (z - l.theta) / l.epsilon) / l.epsilon;
    float step = g * l.theta + step_penalty;
    r.threshold = -density * step * (p.form == ThresholdForm::Log ? l.theta : 1);
    if (p.input_gradient) {
        r.input += density * step;
        r.bias += density * step;
    }
    // The pre-activation loss is added for all rows at once, and subtracted here where z is not below theta.
    if (z >= l.theta) r.input += l.pre_act * l.norm;
    return r;
}
