// product.cu: C [m, n] = A [m, k] B [k, n] (+ add) with float32 sums. A count on the device may reduce every extent.
#pragma once
#include "step.h"

struct ProductParams {
    const void* a;
    const void* b;
    const int* b_rows;              // row of b behind index k or n, by b_gather
    const float* add;               // [m, n] of stride c_stride, or null; may be c
    const float* mask;              // keep where it is not 0, stride c_stride, or null
    const float* scale;             // [1] or null
    float* c;
    const int* m_count;
    const int* n_count;
    const int* k_count;
    int64_t a_m, a_k, b_k, b_n;     // strides in elements
    int m, n, k, c_stride;
    int a_bf16, b_bf16;             // whether the operand is bfloat16; else it is float32
    GatherCode b_gather;
    int mask_factor;                // 1: the mask is a factor
};
