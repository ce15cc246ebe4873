// The Hopper state of a cluster: mbarriers, loads in flight, products in flight.
#pragma once
#include <string>

#include "collectives.h"
#include "races.h"

namespace emu {

void reset_sm90();                                  // before a cluster
void check_sm90();                                  // after it: everything that was never waited for
std::string what_it_waits_on(const Thread& thread); // for the report of a deadlock

// mbarrier.cpp
struct Mbarrier {
    int number;                         // in the race detector's clocks
    uint64_t* place;
    uint32_t count, pending;            // arrivals of a phase, and those still missing
    int64_t bytes;                      // announced and not yet arrived
    uint32_t phase;                     // phases completed
    uint32_t waited;                    // phases that a thread has waited for
    int starter;                        // slot of the thread that initialised it
    uint64_t started;
    unsigned started_syncs;             // warp syncs of that thread then
    Site site;
    Clock arrivals, completed;
    uint64_t remote;                    // moment of the last arrival from another block, with its phase and place
    uint32_t remote_phase;
    Site remote_site;
};
// fails where none is initialised, or where its bytes were overwritten
Mbarrier& mbarrier_of(uint64_t* barrier, const char* op);
Mbarrier& mbarrier_in(Block& block, uint64_t* barrier, const char* op);     // at the same offset in another block
void require_fenced(const Mbarrier& barrier, const char* op);
void bytes_come(Mbarrier& barrier, uint32_t phase, uint32_t bytes);
void check_mbarriers();
void reset_mbarriers();

// tma.cpp
size_t loads_under_way();
void finish_load(size_t which);
Site load_bringing(const void* p, size_t bytes);        // the load in flight to these bytes; line 0: none
void check_loads();
void reset_loads();

// wgmma.cpp
size_t products_under_way();            // warpgroups with committed products that are not done
void do_product();
void wgmma_never_waited();
// whether that register belongs to sums that the current thread has not waited for
bool sums_on_their_way(const void* p);
void reset_products();
Site product_reading(const void* p, size_t bytes);      // a product in flight that reads these bytes; line 0: none

// sm90.cpp
std::string registers_wanted(const Thread& thread);
void reset_registers();

}
