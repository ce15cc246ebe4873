// The race detector, in builds with --races. In other builds these functions do nothing.
//
// The order of accesses comes from __syncthreads (counted) and from clocks: a release publishes everything that the
// thread is ordered after, an acquire adds it.
// Each thread has a number in the clocks, and so has each mbarrier: the bytes that TMA writes in one of its phases
// count as written by that mbarrier.
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
// TMA will write these bytes, in that phase of that mbarrier. Called when the load is issued, by the thread that issues
// it.
void shared_bring(const void* p, size_t bytes, int mbarrier, uint32_t phase);
// wgmma reads these bytes; a proxy fence must follow plain stores to them.
void shared_product(const void* p, size_t bytes);

void release_clock(Clock& to);                  // of the current thread
void release_phase(Clock& to, int mbarrier, uint32_t phase);
void acquire_clock(const Clock& from, int slot);
// each acquires what any of them has; mask: lanes of a warp
void join_clocks(int first, int count, uint32_t mask = 0xffffffffu);

}
