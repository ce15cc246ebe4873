// The driver's entry points for modules and launches.
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "driver.h"
#include "faults.h"
#include "fibers.h"
#include "memory.h"

using namespace emu;

namespace {

struct Function { const KernelEntry* kernel; int shared_limit; };
std::map<std::string, Function> functions;

}

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
