// The race detector. In builds with --races g++ calls these hooks at every memory access of a kernel (its
// -fsanitize=thread instrumentation; this file replaces the runtime behind it). Shared memory: two threads access a
// byte, at least one writes, and no barrier is between. Any memory: a write that hits neither an allocation, nor shared
// memory, nor a stack.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "memory.h"
#include "shared.h"
#include "sm90_state.h"

namespace emu {

namespace {

// The last accesses to a byte of shared memory. An id is the number in the clocks + 1. The reads of a warp in one
// operation are kept as one.
struct Access {
    uint16_t writer = 0, reader = 0;
    bool many_readers = false, many_warps = false;
    uint16_t write_proxy = 0;                       // proxy fences of the writer before the write
    unsigned write_barrier = 0, write_sync = 0, read_barrier = 0, read_sync = 0;
    uint32_t write_clock = 0, read_clock = 0, read_release = 0;
};
std::vector<Access> shadow;

// Clocks, from the first kernel that uses any: for each thread, the latest event of every number, itself included, that
// it is ordered after. The releases of the cluster are numbered too.
std::vector<Clock> clocks;
bool clocks_run;
uint32_t releases;
std::vector<uint32_t> acquired;                     // by slot: the last release before the state that it has acquired

uint32_t& seen(Clock& clock, size_t number) {
    if (clock.seen.size() <= number) clock.seen.resize(std::max(number + 1, threads.size()), 0);
    return clock.seen[number];
}

[[maybe_unused]] void add(Clock& to, const Clock& from) {
    if (to.seen.size() < from.seen.size()) to.seen.resize(from.seen.size(), 0);
    for (size_t i = 0; i < from.seen.size(); ++i) to.seen[i] = std::max(to.seen[i], from.seen[i]);
}

void start_clocks() {
    clocks_run = true;
    clocks.assign(threads.size(), {});
    acquired.assign(threads.size(), 0);
    for (size_t slot = 0; slot < threads.size(); ++slot) seen(clocks[slot], slot) = 1;
}
uint32_t own_clock() { return clocks_run ? clocks[current->slot].seen[current->slot] : 1; }

std::string place(void* code) {
    Dl_info info;
    if (!dladdr(code, &info) || !info.dli_fname) return "an unknown place";
    char command[1024];
    snprintf(command, sizeof command, "addr2line -e '%s' %#tx 2>/dev/null", info.dli_fname,
             static_cast<char*>(code) - static_cast<char*>(info.dli_fbase) - 1);
    std::string line;
    if (auto pipe = popen(command, "r")) {
        char text[512];
        if (fgets(text, sizeof text, pipe)) line = text;
        pclose(pipe);
    }
    while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
    return line.empty() ? "an unknown place" : line;
}

bool ordered(unsigned barrier, unsigned sync, uint32_t clock, int other) {
    if (clocks_run && seen(clocks[current->slot], other) >= clock) return true;
    if (other >= int(threads.size()) || threads[other].block != current->block) return false;
    return barrier != current->barriers || (other / 32 == current->slot / 32 && sync != current->warp_syncs);
}

std::string who(int number) {
    return number < int(threads.size()) ? "an access by thread " + std::to_string(threads[number].id)
        : "the TMA write for mbarrier " + std::to_string(number - int(threads.size()));
}

[[noreturn]] void race(const char* what, size_t offset, int other, void* code) {
    if (!code)
        fail("race in shared memory: byte %zu is %s by thread %d with no barrier between it and %s", offset, what,
             current->id, who(other).c_str());
    fail("race in shared memory: byte %zu is %s by thread %d with no barrier between it and %s, at %s", offset, what,
         current->id, who(other).c_str(), place(code).c_str());
}

void check_read(const Access& a, size_t at, void* code) {
    if (a.writer && a.writer != current->slot + 1
        && !ordered(a.write_barrier, a.write_sync, a.write_clock, a.writer - 1))
        race("read", at, a.writer - 1, code);
}

void check_write(const Access& a, size_t at, void* code) {
    if (a.writer && a.writer != current->slot + 1
        && !ordered(a.write_barrier, a.write_sync, a.write_clock, a.writer - 1))
        race("written", at, a.writer - 1, code);
    if (!a.reader || (!a.many_readers && a.reader == current->slot + 1)) return;
    // Only the last of many readers is known by number. The others count as ordered when the state that this thread has
    // acquired is younger than the last read.
    bool after = a.many_warps
        ? a.read_barrier != current->barriers || (clocks_run && acquired[current->slot] > a.read_release)
        : ordered(a.read_barrier, a.read_sync, a.read_clock, a.reader - 1);
    if (!after) race("written", at, a.reader - 1, code);
}

}

void reset_races() {
#ifdef EMU_RACES
    shadow.assign(shared_offset(blocks.back().shared) + shared_bytes(), {});
    clocks_run = false;
    releases = 0;
#endif
}

void shared_read(const void* p, size_t bytes, void* code) {
    for (size_t at = shared_offset(p), end = std::min(at + bytes, shadow.size()); at < end; ++at) {
        auto& a = shadow[at];
        check_read(a, at, code);
        bool again = a.reader && a.read_barrier == current->barriers;
        a.many_readers = again && (a.many_readers || a.reader != current->slot + 1);
        a.many_warps = again && (a.many_warps || (a.reader - 1) / 32 != current->slot / 32);
        a.reader = uint16_t(current->slot + 1);
        a.read_barrier = current->barriers;
        a.read_sync = current->warp_syncs;
        a.read_clock = own_clock();
        a.read_release = releases;
    }
}

void shared_write(const void* p, size_t bytes, void* code) {
    if (shadow.empty()) return;
    if (auto site = product_reading(p, bytes); site.line)
        fail("race in shared memory: byte %zu is written by thread %d while wgmma at %s:%d may still read it, at %s",
             shared_offset(p), current->id, site.file, site.line, place(code).c_str());
    for (size_t at = shared_offset(p), end = std::min(at + bytes, shadow.size()); at < end; ++at) {
        auto& a = shadow[at];
        check_write(a, at, code);
        a = {};
        a.writer = uint16_t(current->slot + 1);
        a.write_barrier = current->barriers;
        a.write_sync = current->warp_syncs;
        a.write_clock = own_clock();
        a.write_proxy = uint16_t(current->proxy_fences);
    }
}

void shared_bring(const void* p, size_t bytes, int mbarrier, uint32_t phase) {
    if (shadow.empty()) return;
    if (!clocks_run) start_clocks();
    for (size_t at = shared_offset(p), end = at + bytes; at < end; ++at) {
        auto& a = shadow[at];
        check_write(a, at, nullptr);
        a = {};
        a.writer = uint16_t(threads.size() + mbarrier + 1);
        a.write_clock = phase + 1;
    }
}

void shared_product(const void* p, size_t bytes) {
    for (size_t at = shared_offset(p), end = std::min(at + bytes, shadow.size()); at < end; ++at) {
        auto& a = shadow[at];
        check_read(a, at, nullptr);
        if (a.writer && a.writer <= threads.size() && threads[a.writer - 1].proxy_fences == a.write_proxy)
            fail("wgmma reads byte %zu, which thread %d stored with no fence.proxy.async after it", at,
                 threads[a.writer - 1].id);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// clocks

#ifdef EMU_RACES
void release_clock(Clock& to) {
    if (!clocks_run) start_clocks();
    auto& mine = clocks[current->slot];
    add(to, mine);
    ++mine.seen[current->slot];
    ++releases;
}
void release_phase(Clock& to, int mbarrier, uint32_t phase) { seen(to, threads.size() + mbarrier) = phase; }
void acquire_clock(const Clock& from, int slot) {
    if (!clocks_run) start_clocks();
    add(clocks[slot], from);
    acquired[slot] = ++releases;
}
void join_clocks(int first, int count, uint32_t mask) {
    if (!clocks_run) return;
    Clock all;
    for (int i = 0; i < count; ++i)
        if (mask >> i % 32 & 1) add(all, clocks[first + i]);
    ++releases;
    for (int i = 0; i < count; ++i)
        if (mask >> i % 32 & 1) {
            auto& clock = clocks[first + i];
            clock = all;
            ++clock.seen[first + i];
            acquired[first + i] = releases;
        }
}
#else
void release_clock(Clock&) {}
void release_phase(Clock&, int, uint32_t) {}
void acquire_clock(const Clock&, int) {}
void join_clocks(int, int, uint32_t) {}
#endif

namespace {

void check_sums(const void* p, const char* what, void* code) {
    if (current->wgmma_flights && sums_on_their_way(p))
        fail("a sum is %s while wgmma is summing into it, at %s", what, place(code).c_str());
}

void read(const void* p, size_t bytes, void* code) {
    if (!current) return;
    if (in_shared(p)) shared_read(p, bytes, code);
    else check_sums(p, "read", code);
}

void write(const void* p, size_t bytes, void* code) {
    if (!current) return;
    if (in_shared(p)) shared_write(p, bytes, code);
    else if (on_stack(p)) check_sums(p, "written", code);
    else if (!owned(p, bytes)) fail("write outside every allocation, of %zu bytes, at %s", bytes, place(code).c_str());
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
