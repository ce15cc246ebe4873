// Emulated bodies of kernels/ptx.cuh. Lane maps: PTX ISA, mma.m16n8k16 and ldmatrix.
#pragma once
#include "../common.cuh"

namespace emu {

void copy_async(Site site, void* to, const void* from, int bytes);
void copy_commit();
void copy_wait(int pending);

struct LoadMatrix { uint32_t* r; const void* row; };
void load_matrices(Site site, uint32_t* r, const void* row, bool transpose);
void multiply(Site site, float* c, const uint32_t* a, uint32_t b0, uint32_t b1);
void multiply_bytes(Site site, int* c, const uint32_t* a, uint32_t b0, uint32_t b1);

}

#define cp_async16(to, from, bytes) emu::copy_async(EMU_HERE, to, from, bytes)
inline void cp_async_commit() { emu::copy_commit(); }
template <int pending> void cp_async_wait() { emu::copy_wait(pending); }
#define ldmatrix_x4(r, row) emu::load_matrices(EMU_HERE, r, row, false)
#define ldmatrix_x4_trans(r, row) emu::load_matrices(EMU_HERE, r, row, true)
#define mma_bf16_16816(c, a, b0, b1) emu::multiply(EMU_HERE, c, a, b0, b1)
#define mma_s8_16832(c, a, b0, b1) emu::multiply_bytes(EMU_HERE, c, a, b0, b1)
inline uint32_t bf16_pair(float low, float high) { return uint32_t(float_to_bf16(high)) << 16 | float_to_bf16(low); }
