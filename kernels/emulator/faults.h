// Faults that the variable CUDASAE_EMULATOR_FAULT plants, for programs that cannot call emuFailNext: NAME=FAULT or
// NAME=FAULT@AFTER with commas between. The name is a kernel's or a driver function's, such as cuMemAlloc; after AFTER
// good ones, 0 if not given, all fail. Launches of a kernel fail with that error, never end (hang) or end the process
// (abort). Codes from 700 on are those of a kernel that fails, and leave the context unusable.
#pragma once
#include <string>

namespace emu {

struct Fault {
    std::string what;
    long after;

    bool due() { return after-- <= 0; }
    int code() const;                           // 0 for hang and abort
    bool in_kernel() const;                     // it comes when the kernel runs, not at its launch
    int run() const;
};

Fault* planted(const char* name);               // null where there is none
int planted_call(const char* call);             // the error that a driver function returns; 0 for none

}
