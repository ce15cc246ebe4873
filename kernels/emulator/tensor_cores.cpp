// Sums as tensor cores form them. NVIDIA documents neither the order nor the rounding. Measurements show that the
// products and the sum before them are aligned to the largest of these terms, cut toward zero to a few bits more than
// float has, added exactly, and that the result is cut toward zero to float (Khattak and Mikaitis, "Accurate Models
// of NVIDIA Tensor Cores", arXiv 2512.07004). The number of bits differs between generations. Here it differs between
// mma and wgmma.
#include "tensor_cores.h"

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "streams.h"

namespace emu {

namespace {

#ifdef EMU_HARD
bool truncating = true;
#else
bool truncating = false;
#endif

constexpr int Bias = 1023, MantissaBits = 52, NotFinite = 2047;     // of double

double power_of_two(int exponent) { return std::bit_cast<double>(int64_t(exponent + Bias) << MantissaBits); }

// Cuts toward zero. A number of 2^128 or more becomes infinity.
float cut_to_float(double value) {
    float near = float(value);
    bool larger = std::fabs(double(near)) > std::fabs(value) && std::fabs(value) < 0x1p128;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(near) - larger);
}

float add_one_in_order(const float* a, const float* b, int pitch, float sum) {
    for (int k = 0; k < TensorDepth; ++k) sum = std::fma(a[k], b[k * pitch], sum);
    return sum;
}

[[gnu::target("avx2,fma")]] void add_wide(const float* a, const float* b, int pitch, float* sums) {
    auto sum = _mm256_loadu_ps(sums);
    for (int k = 0; k < TensorDepth; ++k)
        sum = _mm256_fmadd_ps(_mm256_broadcast_ss(a + k), _mm256_loadu_ps(b + k * pitch), sum);
    _mm256_storeu_ps(sums, sum);
}

// A fused multiply-add has the same bits in a vector as alone.
void add_in_order(const float* a, const float* b, int pitch, float* sums) {
    static const bool wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (wide) return add_wide(a, b, pitch, sums);
    for (int c = 0; c < TensorColumns; ++c) sums[c] = add_one_in_order(a, b + c, pitch, sums[c]);
}

// The products are exact in double, except where one is subnormal. A cut term is a whole number below 2^26, and 17 of
// them fit an int. With an infinity or a NaN among the terms, the sum is formed in order and has the value that IEEE
// 754 states.
void add_truncated(const float* a, const float* b, int pitch, float* sums, int bits) {
    double terms[TensorDepth + 1][TensorColumns];
    int64_t largest[TensorColumns] = {};
    for (int k = 0; k <= TensorDepth; ++k)
        for (int c = 0; c < TensorColumns; ++c) {
            double term = k < TensorDepth ? double(a[k]) * double(b[k * pitch + c]) : double(sums[c]);
            terms[k][c] = term;
            largest[c] = std::max(largest[c], std::bit_cast<int64_t>(std::fabs(term)));
        }
    for (int c = 0; c < TensorColumns; ++c) {
        int exponent = int(largest[c] >> MantissaBits);
        if (exponent == NotFinite) { sums[c] = add_one_in_order(a, b + c, pitch, sums[c]); continue; }
        int top = exponent == 0 ? 0 : exponent - Bias;
        double scale = power_of_two(bits - top);
        int sum = 0;
        for (int k = 0; k <= TensorDepth; ++k) sum += int(terms[k][c] * scale);
        sums[c] = cut_to_float(sum * power_of_two(top - bits));
    }
}

}

void add_products(const float* a, const float* b, int pitch, float* sums, int bits) {
    if (truncating) add_truncated(a, b, pitch, sums, bits);
    else add_in_order(a, b, pitch, sums);
}

}

// Controls for tests: one sets the way of all later products, one reads it.
extern "C" {
#define CONTROL __attribute__((visibility("default")))
CONTROL void emuTruncateTensorCores(int on) {
    std::lock_guard<std::recursive_mutex> guard(emu::lock());
    emu::truncating = on != 0;
}
CONTROL int emuTensorCoresTruncate() { return emu::truncating; }

// Whether this library's a * b + c is one fused operation: 2^-60 is left of (1 + 2^-30)^2 - (1 + 2^-29).
CONTROL int emuContracts() {
    volatile double a = 1 + 0x1p-30, c = -(1 + 0x1p-29);
    double x = a;
    return x * x + c != 0;
}
}
