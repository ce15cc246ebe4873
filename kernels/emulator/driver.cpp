// The CUDA driver's entry points that CudaDevice imports, under their names in cuda.h. The meanings are those of
// NVIDIA's driver API reference.
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "driver.h"
#include "faults.h"
#include "fibers.h"
#include "memory.h"
#include "nccl.h"

namespace emu {

size_t live_events, live_graphs, live_modules;
bool initialized;
thread_local bool has_context;

}

using namespace emu;
using CUdeviceptr = unsigned long long;

namespace {

size_t live_contexts;
std::map<void*, size_t> pinned;
std::map<std::string, std::pair<int, int>> failures;    // call -> (calls to let pass, error)

// By number: the n-th call after emuFailAt fails. A sticky error leaves the context unusable: every later call that
// needs it returns the error.
struct { uint64_t calls = 0, at = ~uint64_t(0); int code = 0; bool sticky = false; std::string failed; } planned;
// Guards failures and planned: some functions of NCCL do not take lock().
std::mutex& plans() { static std::mutex mutex; return mutex; }

}

// Major and minor: from emuSetCapability, or the variable CUDASAE_EMULATOR_CAPABILITY, or 8.0.
static int forced_capability[2];
int emu::capability(int which) {
    auto named = getenv("CUDASAE_EMULATOR_CAPABILITY");
    if (forced_capability[0]) return forced_capability[which];
    return named && strlen(named) == 3 ? named[2 * which] - '0' : which ? 0 : 8;
}
int emu::capability_major() { return capability(0); }

// Error injection: emuFailNext makes a named call fail once, emuFailAt any call by its number.
int emu::injected(const char* call) {
    std::lock_guard<std::mutex> guard(plans());
    if (planned.calls++ == planned.at) {
        planned.failed = call;
        if (planned.sticky) sticky_error = planned.code;
        return planned.code;
    }
    if (int code = planted_call(call)) return code;
    auto found = failures.find(call);
    if (found == failures.end() || found->second.first-- > 0) return Success;
    int code = found->second.second;
    failures.erase(found);
    return code;
}

uint64_t emu::calls_so_far() { std::lock_guard<std::mutex> guard(plans()); return planned.calls; }

int emu::without_context(const char* call) {
    set_report((std::string(call) + " on a thread without a current context").c_str());
    return InvalidContext;
}


API cuInit(unsigned) { QUERY("cuInit"); initialized = true; return Success; }
API cuDriverGetVersion(int* version) { QUERY("cuDriverGetVersion"); *version = 12040; return Success; }
API cuDeviceGetCount(int* count) { QUERY("cuDeviceGetCount"); *count = 1; return Success; }
API cuDeviceGet(int* device, int ordinal) {
    QUERY("cuDeviceGet");
    *device = 0;
    return ordinal == 0 ? Success : InvalidDevice;
}
API cuDeviceGetName(char* name, int length, int) {
    QUERY("cuDeviceGetName");
    strncpy(name, "CudaSae emulator", length - 1);
    name[length - 1] = 0;
    return Success;
}
API cuDeviceTotalMem_v2(size_t* bytes, int) { QUERY("cuDeviceTotalMem"); *bytes = DeviceBytes; return Success; }
API cuDeviceGetAttribute(int* value, int attribute, int) {
    QUERY("cuDeviceGetAttribute");
    switch (attribute) {
        case 1: *value = 1024; return Success;              // threads a block
        case 16: *value = 4; return Success;                // multiprocessors
        case 38: *value = 1 << 20; return Success;          // bytes of L2
        case 75: *value = capability(0); return Success;            // compute capability
        case 76: *value = capability(1); return Success;
        case 97: *value = LargestShared; return Success;    // dynamic shared memory a block may opt into
        default: return InvalidValue;
    }
}
API cuDevicePrimaryCtxRetain(void** context, int) {
    QUERY("cuDevicePrimaryCtxRetain");
    *context = reinterpret_cast<void*>(1);
    ++live_contexts;
    return Success;
}
API cuDevicePrimaryCtxRelease_v2(int) {
    LEAVE("cuDevicePrimaryCtxRelease");
    if (live_contexts == 0) return InvalidValue;
    if (drain_all()) forget_all();      // its work would run in the next context, on freed memory
    --live_contexts;
    sticky_error = 0;
    return answer;
}
API cuCtxSetCurrent(void* context) { QUERY("cuCtxSetCurrent"); has_context = context != nullptr; return Success; }
API cuCtxSynchronize() { ENTER("cuCtxSynchronize"); return drain_all(); }
API cuMemGetInfo_v2(size_t* free, size_t* total) {
    ENTER("cuMemGetInfo");
    *total = DeviceBytes;
    *free = DeviceBytes - live_bytes();
    return Success;
}

// ---------------------------------------------------------------------------------------------------------------------
// memory

API cuMemAlloc_v2(CUdeviceptr* p, size_t bytes) {
    ENTER("cuMemAlloc");
    if (bytes == 0) return InvalidValue;
    auto memory = allocate(bytes);
    *p = reinterpret_cast<CUdeviceptr>(memory);
    return memory ? Success : OutOfMemory;
}
API cuMemFree_v2(CUdeviceptr p) {
    LEAVE("cuMemFree");
    drain_all();
    return release_allocation(reinterpret_cast<void*>(p)) ? answer : InvalidValue;
}
API cuMemHostAlloc(void** p, size_t bytes, unsigned) {
    ENTER("cuMemHostAlloc");
    *p = aligned_alloc(256, (bytes + 255) & ~size_t(255));
    if (!*p) return OutOfMemory;
    memset(*p, PoisonByte, bytes);
    pinned[*p] = bytes;
    return Success;
}
API cuMemFreeHost(void* p) {
    LEAVE("cuMemFreeHost");
    drain_all();
    if (!pinned.erase(p)) return InvalidValue;
    free(p);
    return answer;
}

namespace {

int broken_copy(const char* what, size_t bytes) {
    set_report((std::string(what) + " of " + std::to_string(bytes) + " bytes leaves its allocation").c_str());
    return InvalidValue;
}

}

// Host memory is read or written when the copy runs, whether it is page-locked or not. A driver may copy memory that is
// not page-locked before the call returns, but does not promise it; a program that relies on that fails here.
API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, void* stream) {
    ENTER("cuMemcpyHtoDAsync");
    auto target = reinterpret_cast<void*>(to);
    if (!owned(target, bytes)) return broken_copy("copy to the device", bytes);
    return enqueue(*stream_of(stream), [=] { memcpy(target, from, bytes); return 0; });
}
API cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, void* stream) {
    ENTER("cuMemcpyDtoHAsync");
    auto source = reinterpret_cast<void*>(from);
    if (!owned(source, bytes)) return broken_copy("copy to the host", bytes);
    return enqueue(*stream_of(stream), [=] { memcpy(to, source, bytes); return 0; });
}
API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, void* stream) {
    ENTER("cuMemcpyDtoDAsync");
    auto target = reinterpret_cast<void*>(to), source = reinterpret_cast<void*>(from);
    if (!owned(target, bytes) || !owned(source, bytes)) return broken_copy("copy on the device", bytes);
    return enqueue(*stream_of(stream), [=] { memmove(target, source, bytes); return 0; });
}
API cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, void* stream) {
    ENTER("cuMemsetD32Async");
    auto target = reinterpret_cast<uint32_t*>(to);
    if (!owned(target, 4 * count)) return broken_copy("fill", 4 * count);
    return enqueue(*stream_of(stream), [=] { for (size_t i = 0; i < count; ++i) target[i] = value; return 0; });
}

// ---------------------------------------------------------------------------------------------------------------------
// errors, and the emulator's own controls

namespace {

struct Name { int code; const char* name; const char* sentence; };
constexpr Name names[] = {
    {Success, "CUDA_SUCCESS", "no error"},
    {InvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NotInitialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {InvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {InvalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {NotFound, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NotReady, "CUDA_ERROR_NOT_READY", "device not ready"},
    {EccUncorrectable, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
    {IllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {LaunchFailed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {NotSupported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {CaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {CaptureUnmatched, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
     "capture was not initiated in this stream"},
    {CaptureUnjoined, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {CaptureIsolation, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
     "dependency created on uncaptured work in another stream"},
    {CapturedEvent, "CUDA_ERROR_CAPTURED_EVENT",
     "operation not permitted on an event last recorded in a capturing stream"},
    {ExternalDevice, "CUDA_ERROR_EXTERNAL_DEVICE", "the external device reported an error"},
};

}

API cuGetErrorName(int code, const char** text) {
    for (auto& n : names) if (n.code == code) { *text = n.name; return Success; }
    *text = "CUDA_ERROR_UNKNOWN";
    return InvalidValue;
}
API cuGetErrorString(int code, const char** text) {
    for (auto& n : names) if (n.code == code) { *text = n.sentence; return Success; }
    *text = "unknown error";
    return InvalidValue;
}

extern "C" {
#define CONTROL __attribute__((visibility("default")))
CONTROL void emuSetSeed(uint64_t value) { std::lock_guard<std::recursive_mutex> guard(lock()); seed = value; }
CONTROL void emuSetCapability(int first, int second) {
    std::lock_guard<std::recursive_mutex> guard(lock());
    forced_capability[0] = first;
    forced_capability[1] = second;
}
CONTROL const char* emuReport() { return report(); }
CONTROL uint64_t emuLiveAllocations() {
    std::lock_guard<std::recursive_mutex> guard(lock());
    return live_allocations() + pinned.size();
}
CONTROL void emuFailNext(const char* call, int code, int after) {
    std::lock_guard<std::mutex> guard(plans());
    failures[call] = {after, code};
}
CONTROL uint64_t emuLiveHandles() {
    std::lock_guard<std::recursive_mutex> guard(lock());
    return live_streams() + live_events + live_graphs + live_modules + live_contexts + live_handles
        + live_communicators();
}
CONTROL void emuFailAt(uint64_t call, int code, int sticky) {
    std::lock_guard<std::mutex> guard(plans());
    planned = {0, call, code, sticky != 0, ""};
}
CONTROL uint64_t emuCalls() { return calls_so_far(); }
CONTROL const char* emuFailed() { return planned.failed.c_str(); }
CONTROL void emuForgive() { std::lock_guard<std::recursive_mutex> guard(lock()); sticky_error = 0; set_report(""); }
}
