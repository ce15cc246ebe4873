// The CUDA driver's entry points that CudaDevice imports, under their names in cuda.h. The meanings are those of
// NVIDIA's driver API reference.
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "faults.h"
#include "fibers.h"
#include "memory.h"
#include "streams.h"

using namespace emu;
using CUdeviceptr = unsigned long long;

namespace {

enum { Success = 0, InvalidValue = 1, OutOfMemory = 2, NotInitialized = 3, InvalidDevice = 101, InvalidContext = 201,
       EccUncorrectable = 214, NotFound = 500, NotReady = 600, LaunchFailed = 719,
       NotSupported = 801, CaptureUnsupported = 900, CaptureInvalidated = 901 };

size_t live_events, live_graphs, live_modules, live_contexts;

constexpr int DefaultShared = 48 << 10, LargestShared = 227 << 10;
struct Function { const KernelEntry* kernel; int shared_limit; };
std::map<std::string, Function> functions;
std::map<void*, size_t> pinned;
std::map<std::string, std::pair<int, int>> failures;    // call -> (calls to let pass, error)
bool initialized;
thread_local bool has_context;                          // current on this thread

// By number: the n-th call after emuFailAt fails. A sticky error leaves the context unusable: every later call that
// needs it returns the error.
struct { uint64_t calls = 0, at = ~uint64_t(0); int code = 0; bool sticky = false; std::string failed; } planned;

}

// Major and minor: from emuSetCapability, or the variable CUDASAE_EMULATOR_CAPABILITY, or 8.0.
static int forced_capability[2];
static int capability(int which) {
    auto named = getenv("CUDASAE_EMULATOR_CAPABILITY");
    if (forced_capability[0]) return forced_capability[which];
    return named && strlen(named) == 3 ? named[2 * which] - '0' : which ? 0 : 8;
}
int emu::capability_major() { return capability(0); }

// Error injection: emuFailNext makes a named call fail once, emuFailAt any call by its number.
int emu::injected(const char* call) {
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

static int without_context(const char* call) {
    set_report((std::string(call) + " on a thread without a current context").c_str());
    return InvalidContext;
}

// Three kinds of calls. QUERY: a call about the machine, which works with a broken context. ENTER: a call that needs
// the context and fails when it is broken. LEAVE: a call that releases something; it does so with a broken context too,
// and returns the error.
#define QUERY(call) \
    std::lock_guard<std::recursive_mutex> guard(lock()); \
    if (int code = injected(call)) return code; \
    if (!initialized && strcmp(call, "cuInit")) return NotInitialized
#define ENTER(call) \
    QUERY(call); \
    if (!has_context) return without_context(call); \
    if (sticky_error) return sticky_error
#define LEAVE(call) \
    std::lock_guard<std::recursive_mutex> guard(lock()); \
    int answer = injected(call); \
    if (!answer) answer = sticky_error
#define API extern "C" __attribute__((visibility("default"))) int

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
// modules and launches

API cuModuleLoadDataEx(void** module, const void*, unsigned, void*, void*) {
    ENTER("cuModuleLoadData");
    *module = reinterpret_cast<void*>(1);
    ++live_modules;
    return Success;
}
API cuModuleUnload(void*) {
    LEAVE("cuModuleUnload");
    if (live_modules == 0) return InvalidValue;
    --live_modules;
    return answer;
}
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

constexpr size_t MostParameters = 4096;
constexpr unsigned LargestCluster = 8;

int refuse(const KernelEntry& kernel, const std::string& why) {
    set_report((std::string("launch of ") + kernel.name + ": " + why).c_str());
    return InvalidValue;
}

int launch(void* f, const LaunchShape& shape, void* stream, void** params) {
    auto& function = *static_cast<Function*>(f);
    auto& kernel = *function.kernel;
    auto [gx, gy, gz] = shape.grid;
    auto threads = uint64_t(shape.block.x) * shape.block.y * shape.block.z;
    if (gx == 0 || gy == 0 || gz == 0 || gx > 0x7fffffffu || gy > 65535 || gz > 65535 || threads == 0
        || threads > unsigned(kernel.threads) || shape.shared_bytes > unsigned(function.shared_limit))
        return refuse(kernel, "grid " + std::to_string(gx) + " × " + std::to_string(gy) + ", block "
                      + std::to_string(threads) + " of " + std::to_string(kernel.threads)
            + ", shared " + std::to_string(shape.shared_bytes) + " of " + std::to_string(function.shared_limit));
    if (shape.cluster > 1 && capability(0) < 9)
        return refuse(kernel, "this device has no clusters; capability 9.0 has");
    if (shape.cluster == 0 || shape.cluster > LargestCluster || gx % shape.cluster)
        return refuse(kernel, "a grid of " + std::to_string(gx) + " in clusters of " + std::to_string(shape.cluster)
                      + "; a divisor up to 8");
    if (kernel.params > MostParameters)
        return refuse(kernel, std::to_string(kernel.params) + " bytes of parameters; 4096 at most");
    auto fault = planted(kernel.name);
    if (fault && !fault->in_kernel() && fault->due()) return fault->code();
    void* copied;
    if (posix_memalign(&copied, 128, kernel.params)) return OutOfMemory;       // the alignment of the tensor maps in it
    memcpy(copied, params[0], kernel.params);
    auto held = std::shared_ptr<void>(copied, free);
    int queued = enqueue(*stream_of(stream), [&kernel, shape, fault, held]() -> int {
        if (fault && fault->in_kernel() && fault->due()) return fault->run();
        return run_kernel(kernel, held.get(), shape, seed) ? Success : LaunchFailed;
    });
    stream_of(stream)->after_kernel = queued == Success;
    return queued;
}

}

API cuLaunchKernel(void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void* stream, void** params, void**) {
    ENTER("cuLaunchKernel");
    return launch(f, {{gx, gy, gz}, {bx, by, bz}, shared, 1, false}, stream, params);
}

namespace {

struct LaunchAttribute { unsigned id, padding; union { unsigned x[3], all[16]; }; };
struct LaunchConfig {
    unsigned gx, gy, gz, bx, by, bz, shared;
    void* stream;
    LaunchAttribute* attributes;
    unsigned count;
};
constexpr unsigned ClusterDimension = 4, ProgrammaticStreamSerialization = 6;

}

API cuLaunchKernelEx(const LaunchConfig* c, void* f, void** params, void**) {
    ENTER("cuLaunchKernelEx");
    LaunchShape shape{{c->gx, c->gy, c->gz}, {c->bx, c->by, c->bz}, c->shared, 1, false};
    for (unsigned i = 0; i < c->count; ++i) {
        auto& a = c->attributes[i];
        // kernels run one after another here in any case
        if (a.id == ProgrammaticStreamSerialization) shape.programmatic = a.x[0] != 0;
        else if (a.id == ClusterDimension && a.x[1] == 1 && a.x[2] == 1) shape.cluster = a.x[0];
        else return refuse(*static_cast<Function*>(f)->kernel,
                           "launch attribute " + std::to_string(a.id) + " is not emulated with these values");
    }
    auto& kernel = *static_cast<Function*>(f)->kernel;
    if (shape.programmatic && !stream_of(c->stream)->after_kernel)
        return refuse(kernel, "a programmatic launch behind an operation that is not a kernel");
    if (shape.programmatic && capability(0) < 9)
        return refuse(kernel, "this device has no programmatic dependent launch; capability 9.0 has");
    return launch(f, shape, c->stream, params);
}

// ---------------------------------------------------------------------------------------------------------------------
// streams, events, graphs

API cuStreamCreate(void** stream, unsigned) {
    ENTER("cuStreamCreate");
    auto s = new Stream;
    add_stream(s);
    *stream = s;
    return Success;
}
API cuStreamDestroy_v2(void* stream) {
    LEAVE("cuStreamDestroy");
    auto s = stream_of(stream);
    drain(*s);
    remove_stream(s);
    delete s;
    return answer;
}
API cuStreamSynchronize(void* stream) {
    ENTER("cuStreamSynchronize");
    auto& s = *stream_of(stream);
    if (s.capture) { s.capture_broken = true; return CaptureUnsupported; }
    return drain(s);
}
API cuEventCreate(void** event, unsigned) { ENTER("cuEventCreate"); *event = new Event; ++live_events; return Success; }
API cuEventDestroy_v2(void* event) {
    LEAVE("cuEventDestroy");
    drain_all();
    delete static_cast<Event*>(event);
    --live_events;
    return answer;
}
namespace {
int record(Event& e, Stream& stream) {
    return enqueue(stream, [&e, asked = ++e.asked] { e.reached = asked; return 0; });
}
}
API cuEventRecord(void* event, void* stream) {
    ENTER("cuEventRecord");
    return record(*static_cast<Event*>(event), *stream_of(stream));
}
API cuEventRecordWithFlags(void* event, void* stream, unsigned flags) {
    ENTER("cuEventRecordWithFlags");
    constexpr unsigned External = 1;
    auto& s = *stream_of(stream);
    if (flags == 0) return record(*static_cast<Event*>(event), s);
    if (flags != External || !s.capture) return InvalidValue;       // external: in a graph only
    s.capture->nodes.push_back({{}, static_cast<Event*>(event)});
    s.after_kernel = false;
    return Success;
}
API cuStreamWaitEvent(void* stream, void* event, unsigned) {
    ENTER("cuStreamWaitEvent");
    auto& e = *static_cast<Event*>(event);
    return enqueue(*stream_of(stream), [&e, asked = e.asked] { return e.reached < asked ? NotYet : 0; });
}
API cuEventSynchronize(void* event) {
    ENTER("cuEventSynchronize");
    auto& e = *static_cast<Event*>(event);
    return drain_until(e, e.asked);
}
// an emulated time would have no meaning
API cuEventElapsedTime(float* ms, void*, void*) { ENTER("cuEventElapsedTime"); *ms = 0; return NotSupported; }

API cuStreamBeginCapture_v2(void* stream, int) {
    ENTER("cuStreamBeginCapture");
    auto& s = *stream_of(stream);
    if (s.capture) return CaptureUnsupported;
    s.capture = std::make_unique<Graph>();
    s.capture_broken = s.after_kernel = false;
    return Success;
}
API cuStreamEndCapture(void* stream, void** graph) {
    ENTER("cuStreamEndCapture");
    auto& s = *stream_of(stream);
    if (!s.capture) return CaptureInvalidated;
    auto captured = s.capture.release();
    s.after_kernel = false;
    if (s.capture_broken) { delete captured; *graph = nullptr; return CaptureInvalidated; }
    *graph = captured;
    ++live_graphs;
    return Success;
}
API cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
    ENTER("cuGraphInstantiate");
    *executable = new Graph(*static_cast<Graph*>(graph));
    ++live_graphs;
    return Success;
}
API cuGraphLaunch(void* executable, void* stream) {
    ENTER("cuGraphLaunch");
    auto graph = static_cast<Graph*>(executable);
    for (auto& node : graph->nodes)
        if (int code = node.event ? record(*node.event, *stream_of(stream)) : enqueue(*stream_of(stream), node.work))
            return code;
    return Success;
}
API cuGraphExecDestroy(void* graph) {
    LEAVE("cuGraphExecDestroy");
    drain_all();
    delete static_cast<Graph*>(graph);
    --live_graphs;
    return answer;
}
API cuGraphDestroy(void* graph) {
    LEAVE("cuGraphDestroy");
    delete static_cast<Graph*>(graph);
    --live_graphs;
    return answer;
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
    {LaunchFailed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {NotSupported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {CaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
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
    std::lock_guard<std::recursive_mutex> guard(lock());
    failures[call] = {after, code};
}
CONTROL uint64_t emuLiveHandles() {
    std::lock_guard<std::recursive_mutex> guard(lock());
    return live_streams() + live_events + live_graphs + live_modules + live_contexts + live_handles;
}
CONTROL void emuFailAt(uint64_t call, int code, int sticky) {
    std::lock_guard<std::recursive_mutex> guard(lock());
    planned = {0, call, code, sticky != 0, ""};
}
CONTROL uint64_t emuCalls() { std::lock_guard<std::recursive_mutex> guard(lock()); return planned.calls; }
CONTROL const char* emuFailed() { return planned.failed.c_str(); }
CONTROL void emuForgive() { std::lock_guard<std::recursive_mutex> guard(lock()); sticky_error = 0; set_report(""); }
}
