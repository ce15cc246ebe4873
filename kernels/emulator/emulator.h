// CUDA's names for a .cu file compiled by g++: one fiber a thread, clusters of blocks one after another, rules checked
// where they apply. README.md lists them. kernels/common.cuh includes this header in place of cuda_runtime.h.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "fibers.h"

#define __device__
#define __forceinline__ inline
#define __restrict__
#define EMU_HERE (emu::Site{__FILE__, __LINE__})

namespace emu { constexpr int first_of(int threads, int = 0) { return threads; } }

// A kernel with its name, the size of its parameters, and the largest block that it was compiled for.
#define SAE_KERNEL(name, Params, ...) \
    static void name##_body(const Params& p); \
    static const emu::KernelEntry name##_entry{#name, sizeof(Params), emu::first_of(__VA_ARGS__), [](const void* p) { \
        emu::wait_for_previous_kernels(); \
        name##_body(*static_cast<const Params*>(p)); \
    }}; \
    static void name##_body([[maybe_unused]] const Params& p)

template <typename T> T& shared_memory() { return *static_cast<T*>(emu::shared_block(sizeof(T))); }

// ---------------------------------------------------------------------------------------------------------------------
// indices and vector types

#define threadIdx (emu::current->index)
#define blockIdx (emu::current->block->index)
#define blockDim (emu::block_size)
#define gridDim (emu::grid_size)

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) ulonglong2 { unsigned long long x, y; };
struct alignas(16) int4 { int x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

// ---------------------------------------------------------------------------------------------------------------------
// scalar functions

inline float __uint_as_float(unsigned u) { return std::bit_cast<float>(u); }
inline float __int_as_float(int u) { return std::bit_cast<float>(u); }
inline unsigned __float_as_uint(float f) { return std::bit_cast<unsigned>(f); }
inline int __float_as_int(float f) { return std::bit_cast<int>(f); }
inline int __popc(unsigned u) { return std::popcount(u); }
inline int __popcll(unsigned long long u) { return std::popcount(u); }
inline int __clz(int i) { return std::countl_zero(unsigned(i)); }
inline int __clzll(long long i) { return std::countl_zero((unsigned long long)i); }
inline int __ffs(int i) { return i == 0 ? 0 : std::countr_zero(unsigned(i)) + 1; }
inline unsigned __brev(unsigned u) {
    unsigned r = 0;
    for (int i = 0; i < 32; ++i) r |= ((u >> i) & 1) << (31 - i);
    return r;
}
inline float rsqrtf(float f) { return 1.0f / std::sqrt(f); }
// The fast sine and cosine of small arguments.
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
inline float __fsqrt_rn(float f) { return std::sqrt(f); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
using std::fma;
template <typename T> T __ldg(const T* p) { return *p; }
template <typename T> T __ldcg(const T* p) { return *p; }
template <typename A, typename B>
auto min(A a, B b) { using C = std::common_type_t<A, B>; return C(a) < C(b) ? C(a) : C(b); }
template <typename A, typename B>
auto max(A a, B b) { using C = std::common_type_t<A, B>; return C(a) > C(b) ? C(a) : C(b); }

// ---------------------------------------------------------------------------------------------------------------------
// Excluded from the race detector: an atomic access is not a race.
#define EMU_ATOMIC [[gnu::noinline, gnu::no_sanitize("thread")]]

// atomics: integers only. A float sum by atomics depends on the schedule and is not provided.

template <typename T> requires std::is_integral_v<T> EMU_ATOMIC T atomicAdd(T* p, std::type_identity_t<T> v) {
    emu::atomic(p, sizeof(T));
    T old = *p;
    *p = T(old + v);
    return old;
}
template <typename T> requires std::is_integral_v<T> EMU_ATOMIC T atomicMax(T* p, std::type_identity_t<T> v) {
    emu::atomic(p, sizeof(T));
    T old = *p;
    *p = std::max(old, v);
    return old;
}
template <typename T> requires std::is_integral_v<T> EMU_ATOMIC T atomicMin(T* p, std::type_identity_t<T> v) {
    emu::atomic(p, sizeof(T));
    T old = *p;
    *p = std::min(old, v);
    return old;
}
template <typename T> requires std::is_integral_v<T> EMU_ATOMIC T atomicOr(T* p, std::type_identity_t<T> v) {
    emu::atomic(p, sizeof(T));
    T old = *p;
    *p = T(old | v);
    return old;
}
template <typename T> requires std::is_integral_v<T> EMU_ATOMIC T atomicAnd(T* p, std::type_identity_t<T> v) {
    emu::atomic(p, sizeof(T));
    T old = *p;
    *p = T(old & v);
    return old;
}
template <typename T> requires std::is_integral_v<T> EMU_ATOMIC T atomicExch(T* p, std::type_identity_t<T> v) {
    emu::atomic(p, sizeof(T));
    T old = *p;
    *p = v;
    return old;
}
template <typename T> requires std::is_integral_v<T> EMU_ATOMIC T atomicCAS(T* p, std::type_identity_t<T> expected,
                                                                      std::type_identity_t<T> v) {
    emu::atomic(p, sizeof(T));
    T old = *p;
    if (old == expected) *p = v;
    return old;
}
inline void __threadfence() {}

inline void __threadfence_block() {}

// ---------------------------------------------------------------------------------------------------------------------
// barriers and warp collectives: every lane of the mask must reach the same operation

#define __syncthreads() emu::barrier(EMU_HERE)
#define __syncwarp(...) emu::syncwarp(EMU_HERE __VA_OPT__(,) __VA_ARGS__)
#define __shfl_sync(...) emu::shuffle<emu::Move::Index>(EMU_HERE, __VA_ARGS__)
#define __shfl_xor_sync(...) emu::shuffle<emu::Move::Xor>(EMU_HERE, __VA_ARGS__)
#define __shfl_up_sync(...) emu::shuffle<emu::Move::Up>(EMU_HERE, __VA_ARGS__)
#define __shfl_down_sync(...) emu::shuffle<emu::Move::Down>(EMU_HERE, __VA_ARGS__)
#define __ballot_sync(mask, predicate) emu::ballot(EMU_HERE, "ballot", mask, predicate)
#define __any_sync(mask, predicate) (emu::ballot(EMU_HERE, "any", mask, predicate) != 0)
#define __all_sync(mask, predicate) (emu::ballot(EMU_HERE, "all", mask, predicate) == (mask))

namespace emu {

enum class Move { Index, Xor, Up, Down };

template <typename T> struct ShuffleArgs { T in, out; int argument, width; };

template <Move move, typename T> T shuffle(Site site, uint32_t mask, T value, int argument, int width = 32) {
    static constexpr const char* names[] = {"shfl", "shfl_xor", "shfl_up", "shfl_down"};
    ShuffleArgs<T> args{value, value, argument, width};
    collective(site, names[int(move)], mask, &args, [](void** all, uint32_t named) {
        for (int lane = 0; lane < 32; ++lane) {
            if (!(named >> lane & 1)) continue;
            auto& mine = *static_cast<ShuffleArgs<T>*>(all[lane]);
            int base = lane & ~(mine.width - 1), from = lane;
            if (move == Move::Index) from = base + (mine.argument & (mine.width - 1));
            if (move == Move::Xor) from = lane ^ mine.argument;
            if (move == Move::Up && lane - mine.argument >= base) from = lane - mine.argument;
            if (move == Move::Down && lane + mine.argument < base + mine.width) from = lane + mine.argument;
            if (from >= base + mine.width) from = lane;
            if (!(named >> from & 1)) fail("shuffle reads a lane that its mask does not name");
            mine.out = static_cast<ShuffleArgs<T>*>(all[from])->in;
        }
    });
    return args.out;
}

inline uint32_t ballot(Site site, const char* op, uint32_t mask, bool predicate) {
    struct Args { bool in; uint32_t out; } args{predicate, 0};
    collective(site, op, mask, &args, [](void** all, uint32_t named) {
        uint32_t votes = 0;
        for (int lane = 0; lane < 32; ++lane)
            if (named >> lane & 1 && static_cast<Args*>(all[lane])->in) votes |= 1u << lane;
        for (int lane = 0; lane < 32; ++lane)
            if (named >> lane & 1) static_cast<Args*>(all[lane])->out = votes;
    });
    return args.out;
}

}
