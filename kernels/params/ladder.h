// ladder/*.cu: C = x wT + bias, the same on every rung.
#pragma once
#include "step.h"

struct LadderParams {
    const bf16_bits* x;             // [B, ld]
    const bf16_bits* w;             // [n, ld]
    const float* bias;              // [n]
    float* c;                       // [B, n]
    int rows, columns, ld;       // B, n, ld
};
