/* A CUDA driver that cannot be used, for tests of what a program does then. It is compiled as libcuda.so.1.
   The variable FAKE_DRIVER has the faults: NAME=VALUE with commas between. VALUE is the code that a function of that
   name returns, or the number of count (devices), version, major and free (bytes); null=1 makes a null context.
   Functions return 0 otherwise, and do nothing but count. When the process ends, what is left of contexts, modules,
   allocations and handles is written to the file that FAKE_DRIVER_LOG names.
   With -DINIT_ONLY the library has no other function than cuInit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int value(const char* name, int otherwise) {
    const char* text = getenv("FAKE_DRIVER");
    size_t length = strlen(name);
    for (const char* at = text; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!strncmp(at, name, length) && at[length] == '=') return atoi(at + length + 1);
    return otherwise;
}
#define CODE value(__func__, 0)

int cuInit(unsigned flags) { return CODE; }

#ifndef INIT_ONLY
static int contexts, modules, allocations, handles;
#define MADE(what, pointer, made) \
    do { int code = CODE; if (code) return code; ++what; *(pointer) = (made); return 0; } while (0)
#define GONE(what) do { --what; return CODE; } while (0)

int cuDriverGetVersion(int* version) { *version = value("version", 12040); return CODE; }
int cuDeviceGetCount(int* count) { *count = value("count", 1); return CODE; }
int cuDeviceGet(int* device, int ordinal) { *device = ordinal; return CODE; }
int cuDeviceGetName(char* name, int length, int device) { snprintf(name, length, "Fake\nGPU"); return CODE; }
int cuDeviceGetAttribute(int* v, int attribute, int device) {
    *v = attribute == 75 ? value("major", 8) : attribute == 76 ? 0 : attribute == 97 ? 227 << 10 : 64;
    return CODE;
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) { *bytes = (size_t)1 << 33; return CODE; }
int cuDevicePrimaryCtxRetain(void** context, int device) {
    if (value("null", 0)) return ++contexts, *context = NULL, 0;
    MADE(contexts, context, &contexts);
}
int cuDevicePrimaryCtxRelease_v2(int device) { GONE(contexts); }
int cuCtxSetCurrent(void* context) { return CODE; }
int cuMemGetInfo_v2(size_t* free, size_t* total) {
    *free = value("free", 1 << 30);
    *total = (size_t)1 << 33;
    return CODE;
}
int cuMemAlloc_v2(unsigned long long* p, size_t bytes) { MADE(allocations, p, 1 << 20); }
int cuMemFree_v2(unsigned long long p) { GONE(allocations); }
int cuMemHostAlloc(void** p, size_t bytes, unsigned flags) { MADE(allocations, p, calloc(bytes, 1)); }
int cuMemFreeHost(void* p) { free(p); GONE(allocations); }
int cuModuleLoadDataEx(void** module, const void* image, unsigned n, void* options, void* values) {
    MADE(modules, module, &modules);
}
int cuModuleUnload(void* module) { GONE(modules); }
int cuModuleGetFunction(void** function, void* module, const char* name) { *function = &modules; return CODE; }
int cuStreamCreate(void** stream, unsigned flags) { MADE(handles, stream, &handles); }
int cuStreamDestroy_v2(void* stream) { GONE(handles); }
int cuEventCreate(void** event, unsigned flags) { MADE(handles, event, &handles); }
int cuEventDestroy_v2(void* event) { GONE(handles); }
int cuGetErrorName(int code, const char** text) { return 1; }
int cuGetErrorString(int code, const char** text) { return 1; }
#define PLAIN(name) int name(void) { return CODE; }
PLAIN(cuMemcpyHtoDAsync_v2) PLAIN(cuMemcpyDtoHAsync_v2) PLAIN(cuMemcpyDtoDAsync_v2) PLAIN(cuMemsetD32Async)
PLAIN(cuFuncSetAttribute)
PLAIN(cuLaunchKernel) PLAIN(cuLaunchKernelEx) PLAIN(cuStreamSynchronize) PLAIN(cuStreamWaitEvent) PLAIN(cuEventRecord)
PLAIN(cuCtxSynchronize)
PLAIN(cuEventRecordWithFlags) PLAIN(cuEventSynchronize) PLAIN(cuEventElapsedTime) PLAIN(cuStreamBeginCapture_v2)
PLAIN(cuStreamEndCapture) PLAIN(cuGraphInstantiateWithFlags) PLAIN(cuGraphLaunch) PLAIN(cuGraphExecDestroy)
PLAIN(cuGraphDestroy)

__attribute__((destructor)) static void report(void) {
    const char* path = getenv("FAKE_DRIVER_LOG");
    FILE* file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%d contexts, %d modules, %d allocations, %d handles", contexts, modules, allocations, handles);
    fclose(file);
}
#endif
