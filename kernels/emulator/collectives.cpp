#include "collectives.h"

#include <cstring>

#include "memory.h"
#include "races.h"
#include "sm90_state.h"

namespace emu {

namespace {

struct Rendezvous {
    uint32_t mask, arrived;
    const char* op;
    Site site;
    void* args[32];
};

struct GroupRendezvous {
    int arrived = 0;
    const char* op = "";
    Site site{};
    void* args[128] = {};
};

struct NamedBarrier { int expected = 0, arrived = 0; Site site{}; std::vector<int> came; Clock clock; };

std::vector<std::vector<Rendezvous>> warps;         // by warp of the cluster: collectives that wait for lanes
std::vector<GroupRendezvous> groups;                // by warpgroup of the cluster
std::vector<NamedBarrier> named;                    // 16 a block
int at_cluster_barrier;

int warps_a_block() { return (blocks[0].count + 31) / 32; }
int groups_a_block() { return (blocks[0].count + 127) / 128; }

}

void reset_collectives() {
    warps.resize(warps_a_block() * blocks.size());
    for (auto& waiting : warps) waiting.clear();
    groups.assign(groups_a_block() * blocks.size(), {});
    if (!named.empty()) named.clear();
    at_cluster_barrier = 0;
}

// ---------------------------------------------------------------------------------------------------------------------
// warps

void collective(Site site, const char* op, uint32_t mask, void* args, void (*combine)(void**, uint32_t)) {
    int lane = current->id % 32, warp = current->id / 32;
    current->waits_for = op;
    current->waits_at = site;
    if (!(mask >> lane & 1)) fail("lane %d executes %s with mask %08x, which does not name it", lane, op, mask);
    auto& waiting = warps[current->block->rank * warps_a_block() + warp];
    Rendezvous* found = nullptr;
    for (auto& r : waiting) {
        if (r.mask == mask && (r.op != op && strcmp(r.op, op) != 0))
            fail("lane %d executes %s while lanes %08x of its warp wait in %s at %s:%d", lane, op, r.arrived, r.op,
                 r.site.file, r.site.line);
        if (r.mask == mask && !(r.arrived >> lane & 1)) found = &r;
        else if (r.mask & mask & ~r.arrived && (r.mask >> lane & 1))
            fail("mask mismatch: lane %d executes %s with mask %08x "
                 "while lanes %08x wait for it in %s with mask %08x at %s:%d",
                 lane, op, mask, r.arrived, r.op, r.mask, r.site.file, r.site.line);
    }
    if (!found) {
        waiting.push_back({mask, 0, op, site, {}});
        found = &waiting.back();
    }
    found->arrived |= 1u << lane;
    found->args[lane] = args;
    if (found->arrived != mask) {
        wait(State::AtCollective, op, site);
        return;
    }
    auto all = *found;
    waiting.erase(waiting.begin() + (found - waiting.data()));
    combine(all.args, mask);
    for (int l = 0; l < 32; ++l)
        if (mask >> l & 1 && l != lane) release(threads[current->block->first + warp * 32 + l]);
}

void syncwarp(Site site, uint32_t mask) {
    collective(site, "__syncwarp", mask, nullptr,
               [](void**, uint32_t named) { join_clocks(current->block->first + current->id / 32 * 32, 32, named); });
    ++current->warp_syncs;
}

void atomic(void* p, size_t bytes) {
    if (!in_shared(p) && !owned(p, bytes)) fail("atomic outside every allocation and outside shared memory");
    if (reinterpret_cast<uintptr_t>(p) % bytes) fail("atomic on an address that is not aligned to %zu", bytes);
}

// ---------------------------------------------------------------------------------------------------------------------
// warpgroups

void warpgroup(Site site, const char* op, void* args, bool (*combine)(void**)) {
    int number = current->id / 128;
    auto& block = *current->block;
    current->waits_for = op;
    current->waits_at = site;
    if (number * 128 + 128 > block.count)
        fail("%s by a warpgroup of %d threads; all 128 must execute it", op, block.count - number * 128);
    auto& r = groups[block.rank * groups_a_block() + number];
    if (r.arrived && strcmp(r.op, op) != 0)
        fail("warpgroup mismatch: thread %d executes %s while %d threads of its warpgroup wait in %s at %s:%d",
             current->id, op, r.arrived, r.op, r.site.file, r.site.line);
    r.op = op;
    r.site = site;
    r.args[current->id % 128] = args;
    if (++r.arrived < 128) {
        wait(State::AtCollective, op, site);
        return;
    }
    r.arrived = 0;
    bool go_on = combine(r.args);
    for (int t = 0; go_on && t < 128; ++t)
        if (t != current->id % 128) release(threads[block.first + number * 128 + t]);
    if (!go_on) wait(State::AtCollective, op, site);
}

void release_warpgroup(Block& block, int number) {
    for (int t = 0; t < 128; ++t) release(threads[block.first + number * 128 + t]);
}

// ---------------------------------------------------------------------------------------------------------------------
// clusters

void cluster_barrier(Site site) {
    ++at_cluster_barrier;
    wait(State::AtClusterBarrier, "barrier.cluster", site);
}

void open_cluster_barrier() {
    if (at_cluster_barrier == 0) return;
    int gone = 0;
    for (auto& block : blocks) gone += block.done;
    if (at_cluster_barrier + gone < int(threads.size())) return;
    at_cluster_barrier = 0;
    join_clocks(0, int(threads.size()));
    for (auto& thread : threads)
        if (thread.state == State::AtClusterBarrier) {
            thread.synced = thread.cluster_synced = moment();
            ++thread.barriers;
            release(thread);
        }
}

// ---------------------------------------------------------------------------------------------------------------------
// named barriers

namespace {

NamedBarrier& named_barrier(Site site, const char* op, int barrier, int count) {
    auto& block = *current->block;
    current->waits_for = op;
    current->waits_at = site;
    if (barrier < 1 || barrier > 15)
        fail("%s of barrier %d: the barriers are 1 to 15, and 0 is __syncthreads", op, barrier);
    if (count <= 0 || count % 32 || count > block.count)
        fail("%s of barrier %d for %d threads; a multiple of 32 up to the block's %d", op, barrier, count, block.count);
    if (named.empty()) named.resize(16 * blocks.size());
    auto& b = named[16 * block.rank + barrier];
    if (b.arrived && b.expected != count)
        fail("%s of barrier %d for %d threads while %d wait at it for %d, at %s:%d", op, barrier, count, b.arrived,
             b.expected, b.site.file, b.site.line);
    for (int slot : b.came)
        if (slot == current->slot)
            fail("%s of barrier %d twice by one thread before the others arrived, at %s:%d the first time", op, barrier,
                 b.site.file, b.site.line);
    if (b.arrived == 0) b.clock = {};
    b.expected = count;
    b.site = site;
    b.came.push_back(current->slot);
    ++b.arrived;
    release_clock(b.clock);
    return b;
}

void open_named_barrier(NamedBarrier& b, unsigned barrier) {
    b.arrived = 0;
    for (int slot : b.came) {
        auto& thread = threads[slot];
        if (thread.state != State::AtNamedBarrier || thread.waits_number != barrier) continue;
        thread.synced = moment();
        acquire_clock(b.clock, slot);
        release(thread);
    }
    b.came.clear();
}

}

void named_barrier_wait(Site site, int barrier, int count) {
    auto& b = named_barrier(site, "bar.sync", barrier, count);
    if (b.arrived < b.expected) {
        current->waits_number = barrier;
        wait(State::AtNamedBarrier, "bar.sync", site);
        return;
    }
    open_named_barrier(b, barrier);
    current->synced = moment();
    acquire_clock(b.clock, current->slot);
}

void named_barrier_arrival(Site site, int barrier, int count) {
    auto& b = named_barrier(site, "bar.arrive", barrier, count);
    if (b.arrived == b.expected) open_named_barrier(b, barrier);
}

}
