// What several threads come to together: warps, warpgroups, named barriers, clusters.
#pragma once
#include "fibers.h"

namespace emu {

void reset_collectives();
void open_cluster_barrier();            // lets its threads go when all have come

// Waits until all 128 threads of the warpgroup are at the same operation; the last one runs `combine` on all threads' arguments.
// `combine` answers whether they may go on; when not, release_warpgroup lets them.
void warpgroup(Site site, const char* op, void* args, bool (*combine)(void** args));
void release_warpgroup(Block& block, int warpgroup);

}
