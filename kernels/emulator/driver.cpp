// The CUDA driver's entry points that CudaDevice imports, under their names in cuda.h; meanings from NVIDIA's driver API reference.
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "fibers.h"
#include "memory.h"
#include "streams.h"

using namespace emu;
using CUdeviceptr = unsigned long long;

namespace {

enum { Success = 0, InvalidValue = 1, OutOfMemory = 2, NotInitialized = 3, InvalidDevice = 101, EccUncorrectable = 214, NotFound = 500, NotReady = 600, LaunchFailed = 719,
       NotSupported = 801, CaptureUnsupported = 900, CaptureInvalidated = 901 };

size_t live_events, live_graphs, live_modules, live_contexts;

constexpr int DefaultShared = 48 << 10, LargestShared = 227 << 10;
struct Function { const KernelEntry* kernel; int shared_limit; };
std::map<std::string, Function> functions;
std::map<void*, size_t> pinned;
std::map<std::string, std::pair<int, int>> failures;    // call -> (calls to let pass, error)
bool initialized;

// By number: the how-many'th call from emuFailAt on fails. A sticky error leaves the context unusable: every later call of its work answers with it.
struct { uint64_t calls = 0, at = ~uint64_t(0); int code = 0; bool sticky = false; std::string failed; } planned;

bool is_pinned(const void* p) {
    auto after = pinned.upper_bound(const_cast<void*>(p));
    if (after == pinned.begin()) return false;
    --after;
    return p < static_cast<char*>(after->first) + after->second;
}

}

// Error injection: emuFailNext makes a named call fail once, emuFailAt any call by its number.
int emu::injected(const char* call) {
    if (planned.calls++ == planned.at) {
        planned.failed = call;
        if (planned.sticky) sticky_error = planned.code;
        return planned.code;
    }
    auto found = failures.find(call);
    if (found == failures.end() || found->second.first-- > 0) return Success;
    int code = found->second.second;
    failures.erase(found);
    return code;
}

// Calls on the machine answer though the context is broken; calls that work in it do not; those that give something back do, and say what is wrong.
#define QUERY(call) std::lock_guard<std::recursive_mutex> guard(lock()); if (int code = injected(call)) return code; if (!initialized && strcmp(call, "cuInit")) return NotInitialized
#define ENTER(call) QUERY(call); if (sticky_error) return sticky_error
#define LEAVE(call) std::lock_guard<std::recursive_mutex> guard(lock()); int answer = injected(call); if (!answer) answer = sticky_error
#define API extern "C" __attribute__((visibility("default"))) int

API cuInit(unsigned) { QUERY("cuInit"); initialized = true; return Success; }
API cuDriverGetVersion(int* version) { QUERY("cuDriverGetVersion"); *version = 12040; return Success; }
API cuDeviceGetCount(int* count) { QUERY("cuDeviceGetCount"); *count = 1; return Success; }
API cuDeviceGet(int* device, int ordinal) { QUERY("cuDeviceGet"); *device = 0; return ordinal == 0 ? Success : InvalidDevice; }
API cuDeviceGetName(char* name, int length, int) { QUERY("cuDeviceGetName"); strncpy(name, "CudaSae emulator", length - 1); name[length - 1] = 0; return Success; }
API cuDeviceTotalMem_v2(size_t* bytes, int) { QUERY("cuDeviceTotalMem"); *bytes = DeviceBytes; return Success; }
API cuDeviceGetAttribute(int* value, int attribute, int) {
    QUERY("cuDeviceGetAttribute");
    switch (attribute) {
        case 1: *value = 1024; return Success;              // threads a block
        case 16: *value = 4; return Success;                // multiprocessors
        case 38: *value = 1 << 20; return Success;          // bytes of L2
        case 75: *value = 8; return Success;                // compute capability 8.0
        case 76: *value = 0; return Success;
        case 97: *value = LargestShared; return Success;    // dynamic shared memory a block may opt into
        default: return InvalidValue;
    }
}
API cuDevicePrimaryCtxRetain(void** context, int) { QUERY("cuDevicePrimaryCtxRetain"); *context = reinterpret_cast<void*>(1); ++live_contexts; return Success; }
API cuDevicePrimaryCtxRelease_v2(int) {
    LEAVE("cuDevicePrimaryCtxRelease");
    if (live_contexts == 0) return InvalidValue;
    drain_all();
    --live_contexts;
    sticky_error = 0;
    return answer;
}
API cuCtxSetCurrent(void*) { QUERY("cuCtxSetCurrent"); return Success; }
API cuCtxSynchronize() { ENTER("cuCtxSynchronize"); return drain_all(); }
API cuMemGetInfo_v2(size_t* free, size_t* total) { ENTER("cuMemGetInfo"); *total = DeviceBytes; *free = DeviceBytes - live_bytes(); return Success; }

// ---------------------------------------------------------------------------------------------------------------------
// memory

API cuMemAlloc_v2(CUdeviceptr* p, size_t bytes) {
    ENTER("cuMemAlloc");
    if (bytes == 0) return InvalidValue;
    auto memory = allocate(bytes);
    *p = reinterpret_cast<CUdeviceptr>(memory);
    return memory ? Success : OutOfMemory;
}
API cuMemFree_v2(CUdeviceptr p) { LEAVE("cuMemFree"); drain_all(); return release_allocation(reinterpret_cast<void*>(p)) ? answer : InvalidValue; }
API cuMemHostAlloc(void** p, size_t bytes, unsigned) {
    ENTER("cuMemHostAlloc");
    *p = aligned_alloc(256, (bytes + 255) & ~size_t(255));
    if (!*p) return OutOfMemory;
    memset(*p, PoisonByte, bytes);
    pinned[*p] = bytes;
    return Success;
}
API cuMemFreeHost(void* p) { LEAVE("cuMemFreeHost"); drain_all(); if (!pinned.erase(p)) return InvalidValue; free(p); return answer; }

namespace {

int broken_copy(const char* what, size_t bytes) {
    set_report((std::string(what) + " of " + std::to_string(bytes) + " bytes leaves its allocation").c_str());
    return InvalidValue;
}

}

// From page-locked memory the bytes are read when the copy is done, from other memory at once, as the driver stages them.
API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, void* stream) {
    ENTER("cuMemcpyHtoDAsync");
    auto target = reinterpret_cast<void*>(to);
    if (!owned(target, bytes)) return broken_copy("copy to the device", bytes);
    if (is_pinned(from)) return enqueue(*stream_of(stream), [=] { memcpy(target, from, bytes); return 0; });
    std::string staged(static_cast<const char*>(from), bytes);
    return enqueue(*stream_of(stream), [=] { memcpy(target, staged.data(), bytes); return 0; });
}
API cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, void* stream) {
    ENTER("cuMemcpyDtoHAsync");
    auto source = reinterpret_cast<void*>(from);
    if (!owned(source, bytes)) return broken_copy("copy to the host", bytes);
    int queued = enqueue(*stream_of(stream), [=] { memcpy(to, source, bytes); return 0; });
    return queued || is_pinned(to) || stream_of(stream)->capture ? queued : drain(*stream_of(stream));    // pageable: synchronous
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
// modules and launches

API cuModuleLoadDataEx(void** module, const void*, unsigned, void*, void*) { ENTER("cuModuleLoadData"); *module = reinterpret_cast<void*>(1); ++live_modules; return Success; }
API cuModuleUnload(void*) { LEAVE("cuModuleUnload"); if (live_modules == 0) return InvalidValue; --live_modules; return answer; }
API cuModuleGetFunction(void** function, void*, const char* name) {
    ENTER("cuModuleGetFunction");
    auto kernel = find_kernel(name);
    if (!kernel) return NotFound;
    *function = &functions.try_emplace(name, Function{kernel, DefaultShared}).first->second;
    return Success;
}
API cuFuncSetAttribute(void* function, int attribute, int value) {
    ENTER("cuFuncSetAttribute");
    if (attribute != 8 || value < 0 || value > LargestShared) return InvalidValue;     // dynamic shared memory
    static_cast<Function*>(function)->shared_limit = value;
    return Success;
}
namespace {

int launch(void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void* stream, void** params) {
    auto& function = *static_cast<Function*>(f);
    auto threads = uint64_t(bx) * by * bz;
    if (gx == 0 || gy == 0 || gz == 0 || gx > 0x7fffffffu || gy > 65535 || gz > 65535 || threads == 0 || threads > unsigned(function.kernel->threads) || shared > unsigned(function.shared_limit)) {
        set_report((std::string("launch of ") + function.kernel->name + ": grid " + std::to_string(gx) + " × " + std::to_string(gy) + ", block " + std::to_string(threads) + " of "
            + std::to_string(function.kernel->threads) + ", shared " + std::to_string(shared) + " of " + std::to_string(function.shared_limit)).c_str());
        return InvalidValue;
    }
    std::string copied(static_cast<char*>(params[0]), function.kernel->params);
    auto kernel = function.kernel;
    return enqueue(*stream_of(stream), [=] {
        return run_kernel(*kernel, copied.data(), {gx, gy, gz}, {bx, by, bz}, shared, seed) ? Success : LaunchFailed;
    });
}

}

API cuLaunchKernel(void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void* stream, void** params, void**) {
    ENTER("cuLaunchKernel");
    return launch(f, gx, gy, gz, bx, by, bz, shared, stream, params);
}

namespace {

struct LaunchAttribute { unsigned id, padding; union { unsigned x, all[16]; }; };
struct LaunchConfig { unsigned gx, gy, gz, bx, by, bz, shared; void* stream; LaunchAttribute* attributes; unsigned count; };
constexpr unsigned ClusterDimension = 4, ProgrammaticStreamSerialization = 6;

}

API cuLaunchKernelEx(const LaunchConfig* c, void* f, void** params, void**) {
    ENTER("cuLaunchKernelEx");
    for (unsigned i = 0; i < c->count; ++i) {
        if (c->attributes[i].id == ProgrammaticStreamSerialization) continue;      // kernels run one after another here
        set_report(c->attributes[i].id == ClusterDimension ? "clusters are not emulated" : "a launch attribute that is not emulated");
        return NotSupported;
    }
    return launch(f, c->gx, c->gy, c->gz, c->bx, c->by, c->bz, c->shared, c->stream, params);
}

// ---------------------------------------------------------------------------------------------------------------------
// streams, events, graphs

API cuStreamCreate(void** stream, unsigned) { ENTER("cuStreamCreate"); auto s = new Stream; add_stream(s); *stream = s; return Success; }
API cuStreamDestroy_v2(void* stream) { LEAVE("cuStreamDestroy"); auto s = stream_of(stream); drain(*s); remove_stream(s); delete s; return answer; }
API cuStreamSynchronize(void* stream) {
    ENTER("cuStreamSynchronize");
    auto& s = *stream_of(stream);
    if (s.capture) { s.capture_broken = true; return CaptureUnsupported; }
    return drain(s);
}
API cuEventCreate(void** event, unsigned) { ENTER("cuEventCreate"); *event = new Event; ++live_events; return Success; }
API cuEventDestroy_v2(void* event) { LEAVE("cuEventDestroy"); drain_all(); delete static_cast<Event*>(event); --live_events; return answer; }
API cuEventRecord(void* event, void* stream) {
    ENTER("cuEventRecord");
    auto& e = *static_cast<Event*>(event);
    auto asked = ++e.asked;
    return enqueue(*stream_of(stream), [&e, asked] { e.reached = asked; return 0; });
}
API cuStreamWaitEvent(void* stream, void* event, unsigned) {
    ENTER("cuStreamWaitEvent");
    auto& e = *static_cast<Event*>(event);
    return enqueue(*stream_of(stream), [&e, asked = e.asked] { return drain_until(e, asked); });
}
API cuEventSynchronize(void* event) { ENTER("cuEventSynchronize"); auto& e = *static_cast<Event*>(event); return drain_until(e, e.asked); }
API cuEventElapsedTime(float* ms, void*, void*) { QUERY("cuEventElapsedTime"); *ms = 0; return NotSupported; }      // an emulated time would say nothing

API cuStreamBeginCapture_v2(void* stream, int) {
    ENTER("cuStreamBeginCapture");
    auto& s = *stream_of(stream);
    if (s.capture) return CaptureUnsupported;
    s.capture = std::make_unique<Graph>();
    s.capture_broken = false;
    return Success;
}
API cuStreamEndCapture(void* stream, void** graph) {
    ENTER("cuStreamEndCapture");
    auto& s = *stream_of(stream);
    if (!s.capture) return CaptureInvalidated;
    auto captured = s.capture.release();
    if (s.capture_broken) { delete captured; *graph = nullptr; return CaptureInvalidated; }
    *graph = captured;
    ++live_graphs;
    return Success;
}
API cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) { ENTER("cuGraphInstantiate"); *executable = new Graph(*static_cast<Graph*>(graph)); ++live_graphs; return Success; }
API cuGraphLaunch(void* executable, void* stream) {
    ENTER("cuGraphLaunch");
    auto graph = static_cast<Graph*>(executable);
    for (auto& node : graph->nodes)
        if (int code = enqueue(*stream_of(stream), node)) return code;
    return Success;
}
API cuGraphExecDestroy(void* graph) { LEAVE("cuGraphExecDestroy"); drain_all(); delete static_cast<Graph*>(graph); --live_graphs; return answer; }
API cuGraphDestroy(void* graph) { LEAVE("cuGraphDestroy"); delete static_cast<Graph*>(graph); --live_graphs; return answer; }

// ---------------------------------------------------------------------------------------------------------------------
// errors, and the emulator's own controls

namespace {

struct Name { int code; const char* name; const char* sentence; };
constexpr Name names[] = {
    {Success, "CUDA_SUCCESS", "no error"}, {InvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"}, {OutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NotInitialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"}, {InvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {NotFound, "CUDA_ERROR_NOT_FOUND", "named symbol not found"}, {NotReady, "CUDA_ERROR_NOT_READY", "device not ready"},
    {EccUncorrectable, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
    {LaunchFailed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"}, {NotSupported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {CaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
};

}

API cuGetErrorName(int code, const char** text) { for (auto& n : names) if (n.code == code) { *text = n.name; return Success; } *text = "CUDA_ERROR_UNKNOWN"; return InvalidValue; }
API cuGetErrorString(int code, const char** text) { for (auto& n : names) if (n.code == code) { *text = n.sentence; return Success; } *text = "unknown error"; return InvalidValue; }

extern "C" {
#define CONTROL __attribute__((visibility("default")))
CONTROL void emuSetSeed(uint64_t value) { std::lock_guard<std::recursive_mutex> guard(lock()); seed = value; }
CONTROL const char* emuReport() { return report(); }
CONTROL uint64_t emuLiveAllocations() { std::lock_guard<std::recursive_mutex> guard(lock()); return live_allocations() + pinned.size(); }
CONTROL void emuFailNext(const char* call, int code, int after) { std::lock_guard<std::recursive_mutex> guard(lock()); failures[call] = {after, code}; }
CONTROL uint64_t emuLiveHandles() { std::lock_guard<std::recursive_mutex> guard(lock()); return live_streams() + live_events + live_graphs + live_modules + live_contexts + live_handles; }
CONTROL void emuFailAt(uint64_t call, int code, int sticky) { std::lock_guard<std::recursive_mutex> guard(lock()); planned = {0, call, code, sticky != 0, ""}; }
CONTROL uint64_t emuCalls() { std::lock_guard<std::recursive_mutex> guard(lock()); return planned.calls; }
CONTROL const char* emuFailed() { return planned.failed.c_str(); }
CONTROL void emuForgive() { std::lock_guard<std::recursive_mutex> guard(lock()); sticky_error = 0; set_report(""); }
}
