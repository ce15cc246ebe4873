// The race detector, in builds with --races; otherwise these do nothing.
//
// The order of accesses comes from __syncthreads (counted) and by clocks: a release
// publishes all that the thread has seen, an acquire adds it.
// A thread has a number in the clocks, and so has every mbarrier: the bytes that TMA brings in one of its phases count as written by that mbarrier.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace emu {

struct Clock { std::vector<uint32_t> seen; };

void reset_races();
// Plain accesses, with the code that makes them.
void shared_read(const void* p, size_t bytes, void* code);
void shared_write(const void* p, size_t bytes, void* code);
// TMA will write here, for that phase of that mbarrier; asked when the load is issued, by the thread that issues it.
void shared_bring(const void* p, size_t bytes, int mbarrier, uint32_t phase);
// wgmma reads here; plain stores must be behind a proxy fence.
void shared_product(const void* p, size_t bytes);

void release_clock(Clock& to);                  // of the current thread
void release_phase(Clock& to, int mbarrier, uint32_t phase);
void acquire_clock(const Clock& from, int slot);
void join_clocks(int first, int count, uint32_t mask = 0xffffffffu);      // all of them have seen what any has; mask: of a warp's lanes

}
