// hot.cu: latents that fire often, as dense columns.
#pragma once
#include "step.h"

struct HotParams {
    const int* index;               // [B, k]
    const float* value;             // [B, k]
    const StepScalars* scalars;
    int* firings;                   // [n] since the list was made
    int* hot;                       // [H] ascending
    int* hot_count;                 // [1]
    int* slot;                      // [n] below window for a dead latent, window + its position for a hot one, else -1
    float* code;                    // [B, H]
    int* cold_index;                // [B, k]
    float* cold_value;              // [B, k]
    int* cold_count;                // [B]
    int* row_hot;                   // [B]
    int* row_active;                // [B]
    float* scale;                   // [1]
    int rows, active, latents, window;
    int capacity;                   // H
    float density;
};
