// Finds the block that finishes last, which may read what all others wrote.
#pragma once
#include "common.cuh"

// True in all threads of the block that finishes last; ticket is then 0 again. What a block wrote before is visible to
// the last one, which reads it as volatile, past its first-level cache. shared: one word. All threads of the block must
// call it.
__device__ __forceinline__ bool last_block(int* ticket, uint32_t* shared) {
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        *shared = atomicAdd(ticket, 1) == int(gridDim.x) - 1;
        if (*shared) *ticket = 0;
        __threadfence();
    }
    __syncthreads();
    bool last = *shared != 0;
    __syncthreads();
    return last;
}
