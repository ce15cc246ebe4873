// The part of cuBLAS that the dense path uses: cublasGemmEx on bfloat16 with float32 sums, column-major as in cuBLAS.
#include <bit>
#include <cstdint>

#include "fibers.h"
#include "memory.h"
#include "streams.h"

using namespace emu;

size_t emu::live_handles;

namespace {

struct Handle { void* stream; };
enum { Success = 0, NotInitialized = 1, InvalidValue = 7, ExecutionFailed = 13, NotSupported = 15 };
constexpr int Bf16 = 14, Float = 0;

float load(const uint16_t* p) { return std::bit_cast<float>(uint32_t(*p) << 16); }

}

// A broken context makes these calls fail too, each with cuBLAS' own error number.
#define ENTER(call) \
    std::lock_guard<std::recursive_mutex> guard(lock()); \
    if (injected(call) || sticky_error) return ExecutionFailed
#define API extern "C" __attribute__((visibility("default"))) int

API cublasCreate_v2(void** handle) {
    ENTER("cublasCreate");
    *handle = new Handle{nullptr};
    ++live_handles;
    return Success;
}
API cublasDestroy_v2(void* handle) {
    bool failed = injected("cublasDestroy") || sticky_error;
    delete static_cast<Handle*>(handle);
    --live_handles;
    return failed ? ExecutionFailed : Success;
}
API cublasSetStream_v2(void* handle, void* stream) {
    ENTER("cublasSetStream");
    static_cast<Handle*>(handle)->stream = stream;
    return Success;
}
API cublasSetWorkspace_v2(void*, void*, size_t) { return Success; }

API cublasGemmEx(void* handle, int ta, int tb, int m, int n, int k, const float* alpha, const void* a, int at, int lda,
                 const void* b, int bt, int ldb, const float* beta, void* c, int ct, int ldc, int, int) {
    ENTER("cublasGemmEx");
    if (at != Bf16 || bt != Bf16 || ct != Float) return NotSupported;
    if (m <= 0 || n <= 0 || k <= 0 || lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) return InvalidValue;
    auto A = static_cast<const uint16_t*>(a), B = static_cast<const uint16_t*>(b);
    auto C = static_cast<float*>(c);
    float scale = *alpha, keep = *beta;
    return enqueue(*stream_of(static_cast<Handle*>(handle)->stream), [=] {
        if (!owned(A, 2 * (size_t(lda) * ((ta ? m : k) - 1) + (ta ? k : m)))
            || !owned(B, 2 * (size_t(ldb) * ((tb ? k : n) - 1) + (tb ? n : k)))
            || !owned(C, 4 * (size_t(ldc) * (n - 1) + m))) {
            set_report("cublasGemmEx: an operand leaves its allocation");
            return 700;
        }
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < m; ++i) {
                float sum = 0;
                for (int p = 0; p < k; ++p)
                    sum += load(ta ? A + size_t(i) * lda + p : A + size_t(p) * lda + i)
                        * load(tb ? B + size_t(p) * ldb + j : B + size_t(j) * ldb + p);
                auto& to = C[size_t(j) * ldc + i];
                to = scale * sum + (keep != 0 ? keep * to : 0);
            }
        return 0;
    }) ? ExecutionFailed : Success;
}
