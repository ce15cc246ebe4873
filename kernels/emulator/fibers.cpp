// Fibers and their scheduler. collectives.cpp has the operations that they execute together, sm90*.cpp those of Hopper.
#include "fibers.h"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "memory.h"
#include "shared.h"
#include "sm90_state.h"

// Saves the callee's registers on the old stack, loads them from the new one.
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
std::vector<Thread> threads;
std::vector<Block> blocks;
Index3 block_size, grid_size;
int work_under_way;

namespace {

constexpr size_t StackBytes = 64 << 10, GuardBytes = 4096, MaxThreads = 8 * 1024;

struct Broken {};

std::vector<int> ready;         // slots that may run
int done;                       // threads of the cluster
void* scheduler_stack;
bool in_scheduler;
const KernelEntry* kernel;
const void* kernel_params;
bool failed;
std::string report_text;
uint64_t random_state, now;
bool random_order;
const KernelEntry* kernels;

unsigned char* stacks() {
    static unsigned char* all = [] {
        auto p = static_cast<unsigned char*>(mmap(nullptr, MaxThreads * (StackBytes + GuardBytes),
                                                  PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                                  -1, 0));
        if (p == MAP_FAILED) abort();
        return p;
    }();
    return all;
}

// ---------------------------------------------------------------------------------------------------------------------
// switching

void to_scheduler() {
    in_scheduler = true;
    emu_switch(&current->stack_pointer, scheduler_stack);
}

void entry() {
    kernel->body(kernel_params);
    for (auto& copy : current->copies)
        if (copy.bytes > 0) {
            current->waits_at = copy.site;
            fail("cp.async was never waited for: its bytes may not have arrived when they are read");
        }
    if (current->wgmma_flights) wgmma_never_waited();
    current->state = State::Done;
    ++current->block->done;
    ++done;
    to_scheduler();
    abort();
}

void start(Thread& thread) {
    static int guarded = 0;
    for (; guarded <= thread.slot; ++guarded)
        mprotect(stacks() + guarded * (StackBytes + GuardBytes), GuardBytes, PROT_NONE);
    auto top = stacks() + (thread.slot + 1) * (StackBytes + GuardBytes);
    auto stack = reinterpret_cast<void**>(top) - 8;
    memset(stack, 0, 64);
    stack[6] = reinterpret_cast<void*>(entry);      // six registers, then the return address
    thread.stack_pointer = stack;
}

void open_barrier(Block& block) {
    if (block.at_barrier == 0 || block.at_barrier + block.done < block.count) return;
    block.at_barrier = 0;
    join_clocks(block.first, block.count);
    for (int t = block.first; t < block.first + block.count; ++t)
        if (threads[t].state == State::AtBarrier) {
            ++threads[t].barriers;
            threads[t].synced = moment();
            release(threads[t]);
        }
}

[[gnu::noinline]] void report_deadlock() {
    std::vector<std::pair<std::string, int>> waits;     // the wait, and the number of further threads
    for (auto& thread : threads) {
        if (thread.state == State::Done) continue;
        auto block = blocks.size() > 1 ? " of block " + std::to_string(thread.block->index.x) : "";
        auto what = block + " waits in " + thread.waits_for + what_it_waits_on(thread) + " at " + thread.waits_at.file
            + ":" + std::to_string(thread.waits_at.line);
        size_t known = 0;
        while (known < waits.size() && !waits[known].first.ends_with(what)) ++known;
        if (known < waits.size()) ++waits[known].second;
        else waits.push_back({"\n  thread " + std::to_string(thread.id) + what, 0});
    }
    std::string who;
    for (size_t i = 0; i < waits.size() && i < 8; ++i)
        who += waits[i].first + (waits[i].second ? ", and " + std::to_string(waits[i].second) + " more" : "");
    report_text = std::string("deadlock: no thread can continue\nkernel ") + kernel->name + ", block "
        + std::to_string(blocks[0].index.x) + ", " + std::to_string(done)
        + " of " + std::to_string(threads.size()) + " threads are done" + who;
    failed = true;
}

// ---------------------------------------------------------------------------------------------------------------------
// a cluster

void prepare_cluster(const LaunchShape& shape, uint32_t number) {
    int count = int(block_size.x * block_size.y * block_size.z);
    unsigned across = grid_size.x / shape.cluster;
    blocks.resize(shape.cluster);
    for (unsigned rank = 0; rank < shape.cluster; ++rank)
        blocks[rank] = {{number % across * shape.cluster + rank, number / across % grid_size.y,
                         number / (across * grid_size.y)}, int(rank), int(rank) * count, count, 0, 0, nullptr, false};
    prepare_shared(shape.shared_bytes);
    threads.resize(count * shape.cluster);
    ready.clear();
    done = 0;
    for (int slot = int(threads.size()) - 1; slot >= 0; --slot) {
        auto& thread = threads[slot];
        auto copies = std::move(thread.copies);
        copies.clear();
        unsigned id = slot % count, x = id % block_size.x, y = id / block_size.x % block_size.y;
        unsigned z = id / (block_size.x * block_size.y);
        thread = {.index = {x, y, z}, .id = int(id), .state = State::Ready, .stack_pointer = nullptr, .waits_for = "",
                  .waits_at = {"", 0}, .copy_group = 0, .copies = std::move(copies),
                  .barriers = 0, .warp_syncs = 0, .block = &blocks[slot / count], .slot = slot, .waits_on = nullptr,
                  .waits_number = 0, .synced = 0, .cluster_synced = 0,
                  .mbarrier_fence = 0, .proxy_fences = 0, .wgmma_commits = 0, .wgmma_flights = 0, .wgmma_fenced = false,
                  .registers = 0};
        start(thread);
        ready.push_back(slot);
    }
    reset_collectives();
    reset_races();
    reset_sm90();
}

void run_cluster() {
    while (!failed && done < int(threads.size())) {
        bool worked = work_under_way && (ready.empty() || (random_order && random_bits() % 32 == 0)) && do_some_work();
        if (ready.empty()) {
            if (worked) continue;
            report_deadlock();
            return;
        }
        size_t pick = random_order ? random_bits() % ready.size() : ready.size() - 1;
        current = &threads[ready[pick]];
        ready[pick] = ready.back();
        ready.pop_back();
        in_scheduler = false;
        emu_switch(&scheduler_stack, current->stack_pointer);
        auto& block = *current->block;
        current = nullptr;
        open_barrier(block);
        if (blocks.size() > 1) open_cluster_barrier();
    }
    if (failed) return;
    check_sm90();
    check_shared();
}

}

// ---------------------------------------------------------------------------------------------------------------------

KernelEntry::KernelEntry(const char* n, size_t p, int t, void (*b)(const void*))
    : name(n), params(p), threads(t), body(b), next(kernels) { kernels = this; }

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
bool random_schedule() { return random_order; }
uint64_t moment() { return ++now; }

const unsigned char* parameters() { return static_cast<const unsigned char*>(kernel_params); }
size_t parameter_bytes() { return kernel->params; }

bool run_kernel(const KernelEntry& k, const void* params, const LaunchShape& shape, uint64_t seed) {
    kernel = &k;
    kernel_params = params;
    grid_size = shape.grid;
    block_size = shape.block;
    failed = false;
    random_order = seed != 0;
    random_state = seed;
    current = nullptr;
    in_scheduler = true;
    std::vector<uint32_t> order(size_t(grid_size.x) * grid_size.y * grid_size.z / shape.cluster);
    for (size_t b = 0; b < order.size(); ++b) order[b] = uint32_t(b);
    for (size_t b = order.size(); random_order && b > 1; --b) std::swap(order[b - 1], order[random_bits() % b]);
    try {
        for (auto number : order) {
            prepare_cluster(shape, number);
            run_cluster();
            current = nullptr;
            if (failed) break;
            for (auto& block : blocks)
                if (shape.programmatic && !block.waited_for_previous)
                    fail("launched beside the previous kernel, but block %u never waits for it: "
                         "griddepcontrol.wait is missing", block.index.x);
        }
        if (!failed) check_canaries(k.name);
    } catch (const Broken&) {}
    current = nullptr;
    // the stacks of unfinished threads
    if (failed) ASAN_UNPOISON_MEMORY_REGION(stacks(), threads.size() * (StackBytes + GuardBytes));
    return !failed;
}

void fail(const char* rule, ...) {
    char text[512];
    va_list args;
    va_start(args, rule);
    vsnprintf(text, sizeof text, rule, args);
    va_end(args);
    report_text = text;
    if (kernel) report_text += std::string("\nkernel ") + kernel->name;
    if (current) {
        auto& at = current->block->index;
        report_text += ", block (" + std::to_string(at.x) + ", " + std::to_string(at.y) + "), thread "
            + std::to_string(current->id);
        if (current->waits_at.line)
            report_text += std::string("\nat ") + current->waits_at.file + ":" + std::to_string(current->waits_at.line);
    }
    failed = true;
    if (in_scheduler) throw Broken();       // found by the scheduler, not by a thread
    to_scheduler();
    abort();
}
const char* report() { return report_text.c_str(); }
void set_report(const char* text) { report_text = text; failed = true; }

bool on_stack(const void* p) {
    return p >= stacks() && p < stacks() + MaxThreads * (StackBytes + GuardBytes);
}

void wait(State state, const char* what, Site site) {
    current->waits_for = what;
    current->waits_at = site;
    current->state = state;
    to_scheduler();
}

void release(Thread& thread) {
    thread.state = State::Ready;
    ready.push_back(thread.slot);
}

void barrier(Site site) {
    ++current->block->at_barrier;
    wait(State::AtBarrier, "__syncthreads", site);
}

void wait_for_previous_kernels() { current->block->waited_for_previous = true; }

OnBehalfOf::OnBehalfOf(Thread& t, Site site) : running(current), thread(t), before(t.waits_at) {
    current = &t;
    t.waits_at = site;
}
OnBehalfOf::~OnBehalfOf() {
    thread.waits_at = before;
    current = running;
}

}
