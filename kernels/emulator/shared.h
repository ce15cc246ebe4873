// The shared memory of a cluster's blocks, one after another, 1024-byte aligned, between canaries.
#pragma once
#include <cstddef>

#include "fibers.h"

namespace emu {

// An address in the shared window of a block. Its dynamic memory begins behind the kilobyte that the hardware reserves.
constexpr unsigned SharedWindow = 1024;

void prepare_shared(size_t bytes);      // of each of `blocks`: poisoned
void check_shared();                    // fails when the memory between them was written

}
