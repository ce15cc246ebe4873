// Shared by the files of the driver's entry points: error codes, counters of live objects, and how a call begins.
#pragma once
#include <cstring>
#include <mutex>

#include "streams.h"

namespace emu {

enum { Success = 0, InvalidValue = 1, OutOfMemory = 2, NotInitialized = 3, InvalidDevice = 101, InvalidContext = 201,
       EccUncorrectable = 214, NotFound = 500, NotReady = 600, IllegalAddress = 700,
       LaunchFailed = 719, NotSupported = 801, CaptureUnsupported = 900, CaptureInvalidated = 901,
       CaptureUnmatched = 903, CaptureUnjoined = 904, CaptureIsolation = 905, CapturedEvent = 907,
       ExternalDevice = 911 };

constexpr int DefaultShared = 48 << 10, LargestShared = 227 << 10;

extern size_t live_events, live_graphs, live_modules;
extern bool initialized;
extern thread_local bool has_context;       // current on this thread

int capability(int which);                  // major (0) or minor (1)
int without_context(const char* call);      // the error of a call that needs a context

}

// Four kinds of calls. QUERY: a call about the machine, which works with a broken context. ENTER: a call that needs
// the context and fails when it is broken. LEAVE: a call that releases something; it does so with a broken context too,
// and returns the error. WAIT: a call that waits; an injected error is that of the wait, which has taken place.
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
#define WAIT(call, drain) \
    std::lock_guard<std::recursive_mutex> guard(lock()); \
    if (int code = injected(call)) { drain; return code; } \
    if (!initialized) return NotInitialized; \
    if (!has_context) return without_context(call); \
    if (sticky_error) return sticky_error
#define API extern "C" __attribute__((visibility("default"))) int
