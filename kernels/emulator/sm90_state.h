// What the emulator keeps of a cluster's Hopper state: mbarriers, loads on their way, products on their way.
#pragma once
#include <string>

#include "collectives.h"
#include "races.h"

namespace emu {

void reset_sm90();                                  // before a cluster
void check_sm90();                                  // after it: what was never waited for
std::string what_it_waits_on(const Thread& thread); // for the report of a deadlock

// mbarrier.cpp
struct Mbarrier {
    int number;                         // in the race detector's clocks
    uint64_t* place;
    uint32_t count, pending;            // arrivals a phase, and still missing
    int64_t bytes;                      // announced and not come
    uint32_t phase;                     // phases completed
    uint32_t waited;                    // phases that a thread has waited for
    int starter;                        // slot of the thread that initialised it
    uint64_t started;
    unsigned started_syncs;             // warp syncs of that thread then
    Site site;
    Clock arrivals, completed;
    uint64_t remote;                    // moment of the last arrival from another block, and its phase and place
    uint32_t remote_phase;
    Site remote_site;
};
Mbarrier& mbarrier_of(uint64_t* barrier, const char* op);   // fails where there is none, or where its bytes were overwritten
Mbarrier& mbarrier_in(Block& block, uint64_t* barrier, const char* op);     // at the same place in another block
void require_fenced(const Mbarrier& barrier, const char* op);
void bytes_come(Mbarrier& barrier, uint32_t phase, uint32_t bytes);
void check_mbarriers();
void reset_mbarriers();

// tma.cpp
size_t loads_under_way();
void finish_load(size_t which);
Site load_bringing(const void* p, size_t bytes);        // a load on its way to there; line 0: none
void check_loads();
void reset_loads();

// wgmma.cpp
size_t products_under_way();            // warpgroups with committed ones
void do_product();
void wgmma_never_waited();
bool sums_on_their_way(const void* p);                  // whether that register belongs to sums that the current thread has not waited for
void reset_products();
Site product_reading(const void* p, size_t bytes);      // a product on its way that reads there; line 0: none

// sm90.cpp
std::string registers_wanted(const Thread& thread);
void reset_registers();

}
