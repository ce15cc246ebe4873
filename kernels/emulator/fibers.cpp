// Fibers, the scheduler, barriers and warp collectives.
#include "fibers.h"

#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "memory.h"

// Saves the callee's registers on the old stack, takes them from the new one.
extern "C" void emu_switch(void** save, void* load);
asm(R"(
.text
.globl emu_switch
.type emu_switch,@function
emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emu_switch,.-emu_switch
)");

namespace emu {

Thread* current;
Index3 block_index, block_size, grid_size;

namespace {

constexpr size_t StackBytes = 64 << 10, GuardBytes = 4096, MaxThreads = 1024, Canary = 256;

struct Broken {};

struct Rendezvous {
    uint32_t mask, arrived;
    const char* op;
    Site site;
    void* args[32];
};

std::vector<Thread> threads;
std::vector<int> ready;                             // ids that may run
std::vector<std::vector<Rendezvous>> rendezvous;    // by warp: collectives that wait for lanes
int at_barrier, done;
void* scheduler_stack;
const KernelEntry* kernel;
const void* kernel_params;
bool failed;
std::string report_text;
uint64_t random_state;
bool random_order;
const KernelEntry* kernels;

unsigned char* stacks() {
    static unsigned char* all = [] {
        auto p = static_cast<unsigned char*>(mmap(nullptr, MaxThreads * (StackBytes + GuardBytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        if (p == MAP_FAILED) abort();
        for (size_t t = 0; t < MaxThreads; ++t) mprotect(p + t * (StackBytes + GuardBytes), GuardBytes, PROT_NONE);
        return p;
    }();
    return all;
}

// ---------------------------------------------------------------------------------------------------------------------
// the block's shared memory, between canaries

std::vector<unsigned char> shared_storage;
unsigned char* shared_start;
size_t shared_size;

void prepare_shared(size_t bytes) {
    shared_storage.resize(bytes + 2 * Canary + 1024);
    auto base = reinterpret_cast<uintptr_t>(shared_storage.data()) + Canary;
    shared_start = reinterpret_cast<unsigned char*>((base + 1023) & ~uintptr_t(1023));
    shared_size = bytes;
    memset(shared_storage.data(), CanaryByte, shared_storage.size());
    memset(shared_start, PoisonByte, bytes);
}

void check_shared() {
    auto end = shared_storage.data() + shared_storage.size();
    for (auto p = shared_storage.data(); p < end; ++p)
        if ((p < shared_start || p >= shared_start + shared_size) && *p != CanaryByte)
            fail("write outside shared memory, at byte %td of %zu", p - shared_start, shared_size);
}

// ---------------------------------------------------------------------------------------------------------------------
// switching

void to_scheduler() { emu_switch(&current->stack_pointer, scheduler_stack); }

void entry() {
    kernel->body(kernel_params);
    for (auto& copy : current->copies)
        if (copy.bytes > 0) {
            current->waits_at = copy.site;
            fail("cp.async was never waited for: its bytes need not be there when they are read");
        }
    current->state = State::Done;
    ++done;
    to_scheduler();
    abort();
}

void start(Thread& thread, int id) {
    auto top = stacks() + (id + 1) * (StackBytes + GuardBytes);
    auto stack = reinterpret_cast<void**>(top) - 8;
    memset(stack, 0, 64);
    stack[6] = reinterpret_cast<void*>(entry);      // six registers, then where to return to
    thread.stack_pointer = stack;
}

void release(Thread& thread) {
    thread.state = State::Ready;
    ready.push_back(thread.id);
}

void open_barrier() {
    if (at_barrier == 0 || at_barrier + done < int(threads.size())) return;
    at_barrier = 0;
    for (auto& thread : threads)
        if (thread.state == State::AtBarrier) {
            ++thread.barriers;
            release(thread);
        }
}

[[gnu::noinline]] void report_deadlock() {
    std::string who;
    int shown = 0;
    for (auto& thread : threads)
        if (thread.state != State::Done && ++shown <= 8)
            who += "\n  thread " + std::to_string(thread.id) + " waits in " + thread.waits_for + " at " + thread.waits_at.file + ":" + std::to_string(thread.waits_at.line);
    report_text = std::string("deadlock: no thread can go on\nkernel ") + kernel->name + ", block " + std::to_string(block_index.x) + ", " + std::to_string(done)
        + " of " + std::to_string(threads.size()) + " threads are done" + who;
    failed = true;
}

void run_block(size_t shared_bytes) {
    int count = int(block_size.x * block_size.y * block_size.z);
    prepare_shared(shared_bytes);
    threads.resize(count);
    rendezvous.assign((count + 31) / 32, {});
    ready.clear();
    at_barrier = done = 0;
    for (int id = count - 1; id >= 0; --id) {
        auto& thread = threads[id];
        auto copies = std::move(thread.copies);
        copies.clear();
        unsigned x = id % block_size.x, y = id / block_size.x % block_size.y, z = id / (block_size.x * block_size.y);
        thread = {{x, y, z}, id, State::Ready, nullptr, "", {"", 0}, 0, std::move(copies), 0, 0};
        start(thread, id);
        ready.push_back(id);
    }
    reset_races(shared_bytes);
    while (!failed && done < count) {
        open_barrier();
        if (ready.empty()) { report_deadlock(); return; }
        size_t pick = random_order ? random_bits() % ready.size() : ready.size() - 1;
        current = &threads[ready[pick]];
        ready[pick] = ready.back();
        ready.pop_back();
        emu_switch(&scheduler_stack, current->stack_pointer);
    }
    if (!failed) { current = nullptr; check_shared(); }
}

}

// ---------------------------------------------------------------------------------------------------------------------

KernelEntry::KernelEntry(const char* n, size_t p, int t, void (*b)(const void*)) : name(n), params(p), threads(t), body(b), next(kernels) { kernels = this; }

const KernelEntry* find_kernel(const char* name) {
    for (auto k = kernels; k; k = k->next)
        if (strcmp(k->name, name) == 0) return k;
    return nullptr;
}

uint64_t random_bits() {        // splitmix64
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

bool run_kernel(const KernelEntry& k, const void* params, Index3 grid, Index3 block, size_t shared_bytes, uint64_t seed) {
    kernel = &k;
    kernel_params = params;
    grid_size = grid;
    block_size = block;
    failed = false;
    random_order = seed != 0;
    random_state = seed;
    std::vector<uint32_t> order(size_t(grid.x) * grid.y * grid.z);
    for (size_t b = 0; b < order.size(); ++b) order[b] = uint32_t(b);
    for (size_t b = order.size(); random_order && b > 1; --b) std::swap(order[b - 1], order[random_bits() % b]);
    try {
        for (auto b : order) {
            block_index = {b % grid.x, b / grid.x % grid.y, b / (grid.x * grid.y)};
            run_block(shared_bytes);
            current = nullptr;
            if (failed) return false;
        }
        check_canaries(k.name);
    } catch (const Broken&) {}
    return !failed;
}

void* shared_block(size_t bytes) {
    if (bytes > shared_size) fail("the kernel lays out %zu bytes of shared memory, the launch gave %zu", bytes, shared_size);
    return shared_start;
}
bool in_shared(const void* p) { return p >= shared_start && p < shared_start + shared_size; }
size_t shared_offset(const void* p) { return static_cast<const unsigned char*>(p) - shared_start; }

void fail(const char* rule, ...) {
    char text[512];
    va_list args;
    va_start(args, rule);
    vsnprintf(text, sizeof text, rule, args);
    va_end(args);
    report_text = text;
    if (kernel) report_text += std::string("\nkernel ") + kernel->name;
    if (current) {
        report_text += ", block (" + std::to_string(block_index.x) + ", " + std::to_string(block_index.y) + "), thread " + std::to_string(current->id);
        if (current->waits_at.line) report_text += std::string("\nat ") + current->waits_at.file + ":" + std::to_string(current->waits_at.line);
    }
    failed = true;
    if (!current) throw Broken();       // found by the scheduler after a block, not by a thread
    to_scheduler();
    abort();
}
const char* report() { return report_text.c_str(); }
void set_report(const char* text) { report_text = text; failed = true; }

bool on_stack(const void* p) {
    return p >= stacks() && p < stacks() + MaxThreads * (StackBytes + GuardBytes);
}

void barrier(Site site) {
    current->waits_for = "__syncthreads";
    current->waits_at = site;
    current->state = State::AtBarrier;
    ++at_barrier;
    to_scheduler();
}

void collective(Site site, const char* op, uint32_t mask, void* args, void (*combine)(void**, uint32_t)) {
    int lane = current->id % 32, warp = current->id / 32;
    current->waits_for = op;
    current->waits_at = site;
    if (!(mask >> lane & 1)) fail("lane %d executes %s with mask %08x, which does not name it", lane, op, mask);
    auto& waiting = rendezvous[warp];
    Rendezvous* found = nullptr;
    for (auto& r : waiting) {
        if (r.mask == mask && (r.op != op && strcmp(r.op, op) != 0))
            fail("lane %d executes %s while lanes %08x of its warp wait in %s at %s:%d", lane, op, r.arrived, r.op, r.site.file, r.site.line);
        if (r.mask == mask && !(r.arrived >> lane & 1)) found = &r;
        else if (r.mask & mask & ~r.arrived && (r.mask >> lane & 1))
            fail("mask mismatch: lane %d executes %s with mask %08x while lanes %08x wait for it in %s with mask %08x at %s:%d",
                 lane, op, mask, r.arrived, r.op, r.mask, r.site.file, r.site.line);
    }
    if (!found) {
        waiting.push_back({mask, 0, op, site, {}});
        found = &waiting.back();
    }
    found->arrived |= 1u << lane;
    found->args[lane] = args;
    if (found->arrived != mask) {
        current->state = State::AtCollective;
        to_scheduler();
        return;
    }
    auto all = *found;
    waiting.erase(waiting.begin() + (found - waiting.data()));
    combine(all.args, mask);
    for (int l = 0; l < 32; ++l)
        if (mask >> l & 1 && l != lane) release(threads[warp * 32 + l]);
}

void atomic(void* p, size_t bytes) {
    if (!in_shared(p) && !owned(p, bytes)) fail("atomic outside every allocation and outside shared memory");
    if (reinterpret_cast<uintptr_t>(p) % bytes) fail("atomic on an address that is not aligned to %zu", bytes);
}

void syncwarp(Site site, uint32_t mask) {
    collective(site, "__syncwarp", mask, nullptr, [](void**, uint32_t) {});
    ++current->warp_syncs;
}

}
