// Operations that several threads execute together: warps, warpgroups, named barriers, clusters.
#pragma once
#include "fibers.h"

namespace emu {

void reset_collectives();
void open_cluster_barrier();            // releases its threads when all have arrived

// Waits until all 128 threads of the warpgroup are at the same operation; the last one runs `combine` on the arguments
// of all threads. When `combine` returns false, the threads wait until release_warpgroup.
void warpgroup(Site site, const char* op, void* args, bool (*combine)(void** args));
void release_warpgroup(Block& block, int warpgroup);

}
