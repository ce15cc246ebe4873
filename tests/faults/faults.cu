// Kernels that break a rule on purpose, each beside its correct twin. EmulatorTests shows that the emulator
// distinguishes them.
#include "ptx.cuh"

struct FaultParams {
    const float* in;    // [block]
    float* out;         // [block]
    int break_rule;     // 0: the correct twin
};

struct FaultShared { alignas(16) float values[256]; };

// The neighbour's value is read before or after the neighbour has written it.
SAE_KERNEL(fault_barrier, FaultParams, 256) {
    auto& s = shared_memory<FaultShared>();
    s.values[threadIdx.x] = p.in[threadIdx.x];
    if (!p.break_rule) __syncthreads();
    p.out[threadIdx.x] = s.values[(threadIdx.x + 33) % blockDim.x];
}

// Four floats a thread arrive asynchronously and are used without waiting for them.
SAE_KERNEL(fault_wait, FaultParams, 64) {
    auto& s = shared_memory<FaultShared>();
    cp_async16(s.values + 4 * threadIdx.x, p.in + 4 * threadIdx.x, 16);
    cp_async_commit();
    if (!p.break_rule) cp_async_wait<0>();
    __syncthreads();
    for (int i = 0; i < 4; ++i) p.out[4 * threadIdx.x + i] = s.values[4 * threadIdx.x + i];
}

SAE_KERNEL(fault_bounds, FaultParams, 256) { p.out[threadIdx.x + (p.break_rule ? blockDim.x : 0)] = p.in[threadIdx.x]; }

// Half of the warp waits for all of it, the other half for itself.
SAE_KERNEL(fault_mask, FaultParams, 32) {
    unsigned mask = p.break_rule && threadIdx.x >= 16 ? 0xffff0000u : 0xffffffffu;
    p.out[threadIdx.x] = __shfl_xor_sync(mask, p.in[threadIdx.x], 1);
}

// One thread leaves the others alone at a collective.
SAE_KERNEL(fault_divergence, FaultParams, 32) {
    float v = p.in[threadIdx.x];
    if (!p.break_rule || threadIdx.x != 5) v = __shfl_xor_sync(0xffffffffu, v, 1);
    p.out[threadIdx.x] = v;
}
