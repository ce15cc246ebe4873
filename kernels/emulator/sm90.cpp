// Smaller parts of Hopper: proxies, registers by warpgroup, and the work that runs beside the threads.
#include "sm90.h"

#include "shared.h"
#include "sm90_state.h"

namespace emu {

namespace {

constexpr int RegistersABlock = 64 << 10, LeastRegisters = 24, MostRegisters = 256;

struct Grow { Block* block; int warpgroup, count; };
std::vector<int> spare;             // freed registers, by block of the cluster
std::vector<Grow> growing;          // warpgroups that wait for registers

// The registers that a launch gives each thread of a block of that size.
int launch_registers(const Block& block) { return std::min(MostRegisters, RegistersABlock / block.count / 8 * 8); }

bool give(Block& block, int warpgroup, int count) {
    auto first = &threads[block.first + 128 * warpgroup];
    int more = 128 * (count - first->registers);
    if (more > spare[block.rank]) return false;
    spare[block.rank] -= more;
    for (int t = 0; t < 128; ++t) first[t].registers = count;
    return true;
}

struct Registers { int count; bool grow; };

bool change_registers(void** all) {
    auto& wish = *static_cast<Registers*>(all[0]);
    auto& block = *current->block;
    int warpgroup = current->id / 128;
    for (int t = 1; t < 128; ++t)
        if (static_cast<Registers*>(all[t])->count != wish.count)
            fail("setmaxnreg to %d and to %d in one warpgroup", wish.count, static_cast<Registers*>(all[t])->count);
    if (wish.grow != (wish.count > current->registers) && wish.count != current->registers)
        fail("setmaxnreg.%s to %d registers a thread; the threads have %d", wish.grow ? "inc" : "dec", wish.count,
             current->registers);
    if (give(block, warpgroup, wish.count)) {
        for (size_t g = 0; g < growing.size();) {
            auto next = growing[g];
            if (next.block != &block || !give(block, next.warpgroup, next.count)) { ++g; continue; }
            growing.erase(growing.begin() + g);
            release_warpgroup(block, next.warpgroup);
        }
        return true;
    }
    growing.push_back({&block, warpgroup, wish.count});
    return false;
}

}

void set_registers(Site site, int count, bool grow) {
    current->waits_at = site;
    if (count % 8 || count < LeastRegisters || count > MostRegisters)
        fail("setmaxnreg to %d registers; a multiple of 8 from %d to %d", count, LeastRegisters, MostRegisters);
    if (current->registers == 0) current->registers = launch_registers(*current->block);
    Registers wish{count, grow};
    warpgroup(site, grow ? "setmaxnreg.inc" : "setmaxnreg.dec", &wish, change_registers);
}

std::string registers_wanted(const Thread& thread) {
    for (auto& g : growing)
        if (g.block == thread.block && g.warpgroup == thread.id / 128)
            return " to " + std::to_string(g.count) + " registers a thread, "
                + std::to_string(128 * (g.count - thread.registers)) + " more, but the other warpgroups gave back "
                + std::to_string(spare[g.block->rank]);
    return "";
}

void reset_registers() {
    spare.assign(blocks.size(), 0);
    growing.clear();
}

uint32_t shared_window(const void* p) {
    auto block = shared_owner(p);
    if (block != current->block) fail("an address that is not in this block's shared memory");
    return SharedWindow + uint32_t(static_cast<const unsigned char*>(p) - block->shared);
}

void fence_proxies() {
    ++current->proxy_fences;
    current->mbarrier_fence = moment();
}

// ---------------------------------------------------------------------------------------------------------------------

bool do_some_work() {
    auto loads = loads_under_way(), products = products_under_way();
    if (loads + products == 0) return false;
    auto pick = random_schedule() ? random_bits() % (loads + products) : 0;
    if (pick < loads) finish_load(pick);
    else do_product();
    return true;
}

void reset_sm90() {
    work_under_way = 0;
    reset_mbarriers();
    reset_loads();
    reset_products();
    reset_registers();
}

void check_sm90() {
    check_loads();
    check_mbarriers();
}

}
