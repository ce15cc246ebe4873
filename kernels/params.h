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
    uint32_t reserved[15];
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
