// The threads of one cluster of blocks as fibers, and the operations that they can wait for. A cluster is one block
// unless the launch says otherwise; a seed picks which thread runs next.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace emu {

struct Site { const char* file; int line; };
struct Index3 { unsigned x, y, z; };

// A kernel that a .cu file defines, in a list for cuModuleGetFunction.
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

enum class State : uint8_t { Ready, AtBarrier, AtCollective, AtClusterBarrier, AtNamedBarrier, AtMbarrier, Done };

// A block whose threads run now.
struct Block {
    Index3 index;
    int rank;                           // in its cluster
    int first, count;                   // its threads are threads[first .. first + count)
    int at_barrier, done;
    unsigned char* shared;              // start of its dynamic shared memory
    bool waited_for_previous;           // griddepcontrol.wait
};

struct Thread {
    Index3 index;
    int id;                             // in its block
    State state;
    void* stack_pointer;
    const char* waits_for;              // operation, while it waits
    Site waits_at;
    int copy_group;                     // cp.async group that is open
    std::vector<PendingCopy> copies;    // issued, not yet visible
    unsigned barriers, warp_syncs;      // passed so far: the clocks of the race detector
    Block* block;
    int slot;                           // in the cluster
    const void* waits_on;               // the mbarrier that it waits for, or null
    unsigned waits_number;              // the phase that it waits for, or the number of the named barrier
    uint64_t synced, cluster_synced;    // moments when a barrier last released it
    uint64_t mbarrier_fence;            // moment of its last fence over mbarrier.init
    unsigned proxy_fences;              // so far
    int wgmma_commits, wgmma_flights;   // groups committed; accumulators that products are being added to
    bool wgmma_fenced;
    int registers;                      // set by setmaxnreg
};

extern Thread* current;
extern std::vector<Thread> threads;     // of the cluster
extern std::vector<Block> blocks;       // of the cluster
extern Index3 block_size, grid_size;

struct LaunchShape { Index3 grid, block; size_t shared_bytes; unsigned cluster; bool programmatic; };

// Runs a kernel over its grid. False when a rule was broken; report() then states it. The seed picks the order of
// clusters and threads.
bool run_kernel(const KernelEntry& kernel, const void* params, const LaunchShape& shape, uint64_t seed);

// The address of the kernel's parameters while it runs, and their size in bytes.
const unsigned char* parameters();
size_t parameter_bytes();

// The dynamic shared memory of the current thread's block. Fails when the launch gave less than `bytes`.
void* shared_block(size_t bytes);
size_t shared_bytes();                  // of every block of the launch
bool in_shared(const void* p);          // of any block of the cluster
Block* shared_owner(const void* p);     // null: not shared memory
size_t shared_offset(const void* p);    // bytes from the start of the first block's; one number for the cluster

// Ends the kernel with a report: the rule, the kernel, the block, the thread, and the place in the source.
[[noreturn]] void fail(const char* rule, ...) __attribute__((format(printf, 1, 2)));
const char* report();
void set_report(const char* text);

void wait(State state, const char* what, Site site);    // until release()
void release(Thread& thread);
void barrier(Site site);
// Waits until every lane of `mask` is at the same operation; the last one runs `combine` on the arguments of all lanes.
void collective(Site site, const char* op, uint32_t mask, void* args, void (*combine)(void** args, uint32_t mask));
void syncwarp(Site site, uint32_t mask = 0xffffffffu);
void atomic(void* p, size_t bytes);
void wait_for_previous_kernels();       // programmatic dependent launch

uint64_t random_bits();
bool random_schedule();                 // false: the plain order
uint64_t moment();                      // increases with every call

// Pending work that no thread executes: TMA loads and committed products. work_under_way counts it. do_some_work does
// one piece, and returns false when there was none.
extern int work_under_way;
bool do_some_work();

// For work that another thread issued: reports name that thread and its place in the source.
struct OnBehalfOf {
    OnBehalfOf(Thread& thread, Site site);
    ~OnBehalfOf();
    Thread* running;
    Thread& thread;
    Site before;
};

}
