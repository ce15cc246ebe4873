// Threads of a block as fibers, and what they can wait for. One block runs at a time; a seed picks who goes next.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace emu {

struct Site { const char* file; int line; };
struct Index3 { unsigned x, y, z; };

// A kernel that a .cu file defines; kept in a list for cuModuleGetFunction.
struct KernelEntry {
    KernelEntry(const char* name, size_t params, int threads, void (*body)(const void*));
    const char* name;
    size_t params;
    int threads;
    void (*body)(const void*);
    const KernelEntry* next;
};
const KernelEntry* find_kernel(const char* name);

struct PendingCopy { void* to; const void* from; int bytes; int group; Site site; };

enum class State : uint8_t { Ready, AtBarrier, AtCollective, Done };

struct Thread {
    Index3 index;
    int id;
    State state;
    void* stack_pointer;
    const char* waits_for;              // operation, while it waits
    Site waits_at;
    int copy_group;                     // cp.async group that is open
    std::vector<PendingCopy> copies;    // issued, not yet visible
    unsigned barriers, warp_syncs;      // passed so far: the race detector's clocks
};

extern Thread* current;
extern Index3 block_index, block_size, grid_size;

// Runs a kernel over its grid. False when a rule was broken: report() says which. Blocks and threads come in an order that the seed picks.
bool run_kernel(const KernelEntry& kernel, const void* params, Index3 grid, Index3 block, size_t shared_bytes, uint64_t seed);

// The dynamic shared memory of the block; fails when the launch gave less than `bytes`.
void* shared_block(size_t bytes);
bool in_shared(const void* p);
size_t shared_offset(const void* p);

// Ends the kernel with a report: the rule, the kernel, block and thread, and where.
[[noreturn]] void fail(const char* rule, ...) __attribute__((format(printf, 1, 2)));
const char* report();
void set_report(const char* text);

void barrier(Site site);
// Waits until every lane of `mask` is at the same operation; the last one runs `combine` on all lanes' arguments.
void collective(Site site, const char* op, uint32_t mask, void* args, void (*combine)(void** args, uint32_t mask));
void syncwarp(Site site, uint32_t mask = 0xffffffffu);
void atomic(void* p, size_t bytes);

uint64_t random_bits();

}
