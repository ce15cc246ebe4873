// The threads of one cluster of blocks as fibers, and what they can wait for. A cluster is one block unless the launch says more; a seed picks who goes next.
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
    unsigned barriers, warp_syncs;      // passed so far: the race detector's clocks
    Block* block;
    int slot;                           // in the cluster
    const void* waits_on;               // an mbarrier, while it waits for one
    unsigned waits_number;              // of which phase; of a named barrier, which
    uint64_t synced, cluster_synced;    // moments when a barrier last let it through
    uint64_t mbarrier_fence;            // moment of its last fence over mbarrier.init
    unsigned proxy_fences;              // so far
    int wgmma_commits, wgmma_flights;   // groups committed; accumulators that are being summed into
    bool wgmma_fenced;
    int registers;                      // that setmaxnreg left it
};

extern Thread* current;
extern std::vector<Thread> threads;     // of the cluster
extern std::vector<Block> blocks;       // of the cluster
extern Index3 block_size, grid_size;

struct LaunchShape { Index3 grid, block; size_t shared_bytes; unsigned cluster; bool programmatic; };

// Runs a kernel over its grid. False when a rule was broken: report() says which. Clusters and threads come in an order that the seed picks.
bool run_kernel(const KernelEntry& kernel, const void* params, const LaunchShape& shape, uint64_t seed);

// Where the kernel's parameters lie while it runs, and how many bytes they are.
const unsigned char* parameters();
size_t parameter_bytes();

// The dynamic shared memory of the current thread's block; fails when the launch gave less than `bytes`.
void* shared_block(size_t bytes);
size_t shared_bytes();                  // of every block of the launch
bool in_shared(const void* p);          // of any block of the cluster
Block* shared_owner(const void* p);     // null: not shared memory
size_t shared_offset(const void* p);    // bytes from the start of the first block's: one number for the cluster

// Ends the kernel with a report: the rule, the kernel, block and thread, and where.
[[noreturn]] void fail(const char* rule, ...) __attribute__((format(printf, 1, 2)));
const char* report();
void set_report(const char* text);

void wait(State state, const char* what, Site site);    // until release()
void release(Thread& thread);
void barrier(Site site);
// Waits until every lane of `mask` is at the same operation; the last one runs `combine` on all lanes' arguments.
void collective(Site site, const char* op, uint32_t mask, void* args, void (*combine)(void** args, uint32_t mask));
void syncwarp(Site site, uint32_t mask = 0xffffffffu);
void atomic(void* p, size_t bytes);
void wait_for_previous_kernels();       // programmatic dependent launch

uint64_t random_bits();
bool random_schedule();                 // false: the plain order
uint64_t moment();                      // rises with every call

// Work under way that no thread does: TMA loads and committed products. How much there is, and one piece of it done; false: there was none.
extern int work_under_way;
bool do_some_work();

// For work that another thread issued: reports name that thread and its place.
struct OnBehalfOf {
    OnBehalfOf(Thread& thread, Site site);
    ~OnBehalfOf();
    Thread* running;
    Thread& thread;
    Site before;
};

}
