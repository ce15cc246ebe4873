// mbarriers: a phase completes when all arrivals and all announced bytes have come. Their state is kept here. The 8
// bytes in shared memory hold a mark, so that the emulator detects when they are overwritten.
#include <deque>

#include "shared.h"
#include "sm90.h"
#include "sm90_state.h"

namespace emu {

namespace {

constexpr uint32_t MostArrivals = (1u << 20) - 1;      // of a phase, also of its bytes
constexpr uint64_t Mark = 0x6d62617272696572;           // "mbarrier"

std::deque<Mbarrier> barriers;

Mbarrier* find(const uint64_t* place) {
    for (auto& b : barriers)
        if (b.place == place) return &b;
    return nullptr;
}

void here(Site site, const char* op) {
    current->waits_at = site;
    current->waits_for = op;
}

void in_own_memory(const uint64_t* barrier, const char* op) {
    if (shared_owner(barrier) != current->block)
        fail("%s on an mbarrier that is not in this block's shared memory", op);
    if (reinterpret_cast<uintptr_t>(barrier) % 8) fail("%s on an mbarrier that is not 8-byte aligned", op);
}

size_t offset(const Mbarrier& b) { return reinterpret_cast<unsigned char*>(b.place) - shared_owner(b.place)->shared; }

// Threads other than the one that initialised it may use it once a barrier has released them.
void seen_initialised(const Mbarrier& b, const char* op) {
    auto& starter = threads[b.starter];
    if (b.starter == current->slot) return;
    bool through = (starter.block == current->block ? current->synced : current->cluster_synced) > b.started;
    bool warp =
        starter.block == current->block && starter.id / 32 == current->id / 32 && current->warp_syncs > b.started_syncs;
    if (!through && !warp)
        fail("%s on the mbarrier at byte %zu, which thread %d initialised at %s:%d, with no %s between", op, offset(b),
             starter.id, b.site.file, b.site.line, starter.block == current->block ? "barrier" : "cluster barrier");
}

void finish_phase(Mbarrier& b) {
    if (b.pending || b.bytes) return;
    ++b.phase;
    b.pending = b.count;
    release_phase(b.arrivals, b.number, b.phase);
    b.completed = b.arrivals;
    for (auto& thread : threads)
        if (thread.state == State::AtMbarrier && thread.waits_on == b.place) release(thread);
}

}

Mbarrier& mbarrier_of(uint64_t* barrier, const char* op) {
    auto found = find(barrier);
    if (!found) fail("%s on an mbarrier that was never initialised", op);
    if (*barrier != (Mark ^ uint64_t(found->number)))
        fail("the mbarrier at byte %zu was overwritten: %s finds other bytes than mbarrier.init of %s:%d left",
             offset(*found), op, found->site.file, found->site.line);
    return *found;
}

Mbarrier& mbarrier_in(Block& block, uint64_t* barrier, const char* op) {
    if (block.done == block.count)
        fail("%s accesses block %u of the cluster, whose threads have all ended: "
             "a cluster barrier must precede the end", op, block.index.x);
    auto place = reinterpret_cast<uint64_t*>(block.shared
                                             + (reinterpret_cast<unsigned char*>(barrier) - current->block->shared));
    auto& found = mbarrier_of(place, op);
    seen_initialised(found, op);
    if (&block != current->block) require_fenced(found, op);
    return found;
}

void require_fenced(const Mbarrier& b, const char* op) {
    if (threads[b.starter].mbarrier_fence < b.started)
        fail("%s on the mbarrier at byte %zu: no fence.mbarrier_init follows its initialisation at %s:%d", op,
             offset(b), b.site.file, b.site.line);
}

void mbarrier_start(Site site, uint64_t* barrier, uint32_t count) {
    here(site, "mbarrier.init");
    in_own_memory(barrier, "mbarrier.init");
    if (count == 0 || count > MostArrivals) fail("mbarrier.init for %u arrivals; 1 to 2^20 - 1", count);
    if (auto found = find(barrier)) {
        for (auto& thread : threads)
            if (thread.state == State::AtMbarrier && thread.waits_on == barrier)
                fail("mbarrier.init of an mbarrier that thread %d waits for at %s:%d", thread.id, thread.waits_at.file,
                     thread.waits_at.line);
        fail("mbarrier.init of an mbarrier that is in use since %s:%d", found->site.file, found->site.line);
    }
    int number = int(barriers.size());
    barriers.push_back({number, barrier, count, count, 0, 0, 0, current->slot, moment(), current->warp_syncs, site, {},
                        {}, 0, 0, {}});
    *barrier = Mark ^ uint64_t(number);
}

void mbarrier_start_fence() { current->mbarrier_fence = moment(); }

void mbarrier_arrival(Site site, uint64_t* barrier, int rank, uint32_t bytes) {
    auto op = bytes ? "mbarrier.arrive.expect_tx" : "mbarrier.arrive";
    here(site, op);
    in_own_memory(barrier, op);
    if (rank >= int(blocks.size())) fail("mbarrier.arrive in block %d of a cluster of %zu", rank, blocks.size());
    auto& b = mbarrier_in(rank < 0 ? *current->block : blocks[rank], barrier, op);
    if (rank >= 0 && rank != current->block->rank) {
        b.remote = moment();
        b.remote_phase = b.phase;
        b.remote_site = site;
    }
    if (b.pending == 0)
        fail("%s once more than the %u arrivals a phase of the mbarrier at byte %zu (phase %u)", op, b.count, offset(b),
             b.phase);
    b.bytes += bytes;
    if (b.bytes > int64_t(MostArrivals))
        fail("%s: %lld bytes are announced for one phase; 2^20 - 1 at most", op, static_cast<long long>(b.bytes));
    release_clock(b.arrivals);
    --b.pending;
    if (b.pending == 0 && b.bytes < 0)
        fail("the mbarrier at byte %zu got %lld bytes more than were announced in phase %u", offset(b),
             static_cast<long long>(-b.bytes), b.phase);
    finish_phase(b);
}

void bytes_come(Mbarrier& b, uint32_t phase, uint32_t bytes) {
    if (b.phase != phase)
        fail("TMA writes %u bytes for phase %u of the mbarrier at byte %zu, which has ended without them: "
             "expect_tx announced too little", bytes, phase, offset(b));
    b.bytes -= bytes;
    if (b.pending == 0 && b.bytes < 0)
        fail("the mbarrier at byte %zu got %lld bytes more than were announced in phase %u", offset(b),
             static_cast<long long>(-b.bytes), b.phase);
    finish_phase(b);
}

void mbarrier_await(Site site, uint64_t* barrier, uint32_t parity) {
    constexpr auto op = "mbarrier.try_wait.parity";
    here(site, op);
    in_own_memory(barrier, op);
    if (parity > 1) fail("%s with parity %u; 0 or 1", op, parity);
    auto& b = mbarrier_of(barrier, op);
    seen_initialised(b, op);
    uint32_t phase = b.phase;
    if ((phase & 1) == parity) {
        current->waits_on = barrier;
        current->waits_number = phase;
        wait(State::AtMbarrier, op, site);
        if (b.phase > phase + 1)
            fail("phases %u and %u of the mbarrier at byte %zu ended while this thread waits for the first: "
                 "no thread waited for it before the next", phase, phase + 1, offset(b));
        ++phase;
    }
    b.waited = phase > b.waited ? phase : b.waited;
    current->synced = moment();
    acquire_clock(b.completed, current->slot);
}

std::string what_it_waits_on(const Thread& thread) {
    if (thread.state == State::AtNamedBarrier) return " of barrier " + std::to_string(thread.waits_number);
    if (thread.state == State::AtCollective) return registers_wanted(thread);
    if (thread.state != State::AtMbarrier) return "";
    auto& b = *find(static_cast<const uint64_t*>(thread.waits_on));
    return " for phase " + std::to_string(thread.waits_number) + " (parity " + std::to_string(thread.waits_number & 1)
        + ") of the mbarrier at byte " + std::to_string(offset(b)) + ", which lacks "
        + std::to_string(b.pending) + " of " + std::to_string(b.count) + " arrivals and " + std::to_string(b.bytes)
        + " bytes,";
}

// A block may end only after the accesses of others to its memory: it has waited for their arrivals, or for all threads
// at a cluster barrier.
void check_mbarriers() {
    for (auto& b : barriers) {
        auto& block = *shared_owner(b.place);
        if (b.remote && b.waited <= b.remote_phase && threads[block.first].cluster_synced < b.remote) {
            OnBehalfOf first(threads[block.first], b.remote_site);
            fail("an arrival from another block of the cluster may come when this block has ended: "
                 "no wait for it and no cluster barrier precedes the end");
        }
    }
}

void reset_mbarriers() { if (!barriers.empty()) barriers.clear(); }

}
