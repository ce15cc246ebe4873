// The race detector: in builds with --races g++ calls these hooks at every memory access of a kernel (its -fsanitize=thread
// instrumentation; the runtime behind it is this file). Shared memory: two threads, at least one writing, and no barrier between.
// Any memory: a write that hits neither an allocation, nor shared memory, nor a stack.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "fibers.h"
#include "memory.h"

namespace emu {

namespace {

// The last accesses to a byte of shared memory. Ids are thread + 1; a warp that read together is kept as one.
struct Access { uint16_t writer = 0, reader = 0; bool many_readers = false, many_warps = false; unsigned write_barrier = 0, write_sync = 0, read_barrier = 0, read_sync = 0; };
std::vector<Access> shadow;

std::string place(void* code) {
    Dl_info info;
    if (!dladdr(code, &info) || !info.dli_fname) return "an unknown place";
    char command[1024];
    snprintf(command, sizeof command, "addr2line -e '%s' %#tx 2>/dev/null", info.dli_fname, static_cast<char*>(code) - static_cast<char*>(info.dli_fbase) - 1);
    std::string line;
    if (auto pipe = popen(command, "r")) {
        char text[512];
        if (fgets(text, sizeof text, pipe)) line = text;
        pclose(pipe);
    }
    while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
    return line.empty() ? "an unknown place" : line;
}

bool ordered(unsigned barrier, unsigned sync, int other) {
    return barrier != current->barriers || (other / 32 == current->id / 32 && sync != current->warp_syncs);
}

[[noreturn]] void race(const char* what, size_t offset, int other, void* code) {
    fail("race in shared memory: byte %zu is %s by thread %d with no barrier between it and an access by thread %d, at %s", offset, what, current->id, other, place(code).c_str());
}

}

void reset_races([[maybe_unused]] size_t shared_bytes) {
#ifdef EMU_RACES
    shadow.assign(shared_bytes, {});
#endif
}

void shared_read(const void* p, size_t bytes, void* code) {
    for (size_t at = shared_offset(p), end = std::min(at + bytes, shadow.size()); at < end; ++at) {
        auto& a = shadow[at];
        if (a.writer && a.writer != current->id + 1 && !ordered(a.write_barrier, a.write_sync, a.writer - 1)) race("read", at, a.writer - 1, code);
        bool again = a.reader && a.read_barrier == current->barriers;
        a.many_readers = again && (a.many_readers || a.reader != current->id + 1);
        a.many_warps = again && (a.many_warps || (a.reader - 1) / 32 != current->id / 32);
        a.reader = uint16_t(current->id + 1);
        a.read_barrier = current->barriers;
        a.read_sync = current->warp_syncs;
    }
}

void shared_write(const void* p, size_t bytes, void* code) {
    for (size_t at = shared_offset(p), end = std::min(at + bytes, shadow.size()); at < end; ++at) {
        auto& a = shadow[at];
        if (a.writer && a.writer != current->id + 1 && !ordered(a.write_barrier, a.write_sync, a.writer - 1)) race("written", at, a.writer - 1, code);
        bool others = a.reader && (a.many_readers || a.reader != current->id + 1);
        if (others && (a.many_warps ? a.read_barrier == current->barriers : !ordered(a.read_barrier, a.read_sync, a.reader - 1))) race("written", at, a.reader - 1, code);
        a = {};
        a.writer = uint16_t(current->id + 1);
        a.write_barrier = current->barriers;
        a.write_sync = current->warp_syncs;
    }
}

namespace {

void read(const void* p, size_t bytes, void* code) {
    if (current && in_shared(p)) shared_read(p, bytes, code);
}

void write(const void* p, size_t bytes, void* code) {
    if (!current) return;
    if (in_shared(p)) shared_write(p, bytes, code);
    else if (!on_stack(p) && !owned(p, bytes)) fail("write outside every allocation, of %zu bytes, at %s", bytes, place(code).c_str());
}

}

}

#define HOOK extern "C" __attribute__((visibility("default"))) void
#define CODE __builtin_return_address(0)
#define SIZES(n) \
    HOOK __tsan_read##n(void* p) { emu::read(p, n, CODE); } \
    HOOK __tsan_write##n(void* p) { emu::write(p, n, CODE); } \
    HOOK __tsan_unaligned_read##n(void* p) { emu::read(p, n, CODE); } \
    HOOK __tsan_unaligned_write##n(void* p) { emu::write(p, n, CODE); } \
    HOOK __tsan_volatile_read##n(void* p) { emu::read(p, n, CODE); } \
    HOOK __tsan_volatile_write##n(void* p) { emu::write(p, n, CODE); }
SIZES(1) SIZES(2) SIZES(4) SIZES(8) SIZES(16)
HOOK __tsan_read_range(void* p, size_t n) { emu::read(p, n, CODE); }
HOOK __tsan_write_range(void* p, size_t n) { emu::write(p, n, CODE); }
HOOK __tsan_func_entry(void*) {}
HOOK __tsan_func_exit(void*) {}
HOOK __tsan_init() {}
