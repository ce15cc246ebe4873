// How tensor cores add the float products of one instruction. There are two ways:
//   in order      each product is added in ascending k by a fused multiply-add; mma and wgmma have the same bits
//   truncating    all products and the sum before are added at once (tensor_cores.cpp); mma and wgmma differ in bits
// `emulator.sh --hard` makes a library that truncates. Products of 8-bit numbers are exact either way.
#pragma once

namespace emu {

constexpr int TensorDepth = 16;         // products that one instruction adds to a sum
constexpr int TensorColumns = 8;        // sums of one call

// Bits that the largest term keeps behind its leading one.
constexpr int MmaBits = 25, WgmmaBits = 24;

// sums [8] += a [16] · b [16, 8], in order or truncated to `bits`; row k of b is at b + k * pitch.
void add_products(const float* a, const float* b, int pitch, float* sums, int bits);

}
