// Faults that the variable CUDASAE_EMULATOR_FAULT plants, for programs that cannot call emuFailNext: NAME=FAULT or
// NAME=FAULT@AFTER, separated by commas. The name is that of a kernel or of a driver function, such as cuMemAlloc.
// After AFTER good calls, 0 if not given, all calls fail. Launches of a kernel fail with that error, never end (hang)
// or end the process (abort). Codes from 700 on are those of a kernel that fails, and leave the context unusable.
#pragma once
#include <string>

namespace emu {

struct Fault {
    std::string what;
    long after;

    bool due() { return after-- <= 0; }
    int code() const;                           // 0 for hang and abort
    bool in_kernel() const;                     // it occurs when the kernel runs, not at its launch
    int run() const;
};

Fault* planted(const char* name);               // null where none is planted
int planted_call(const char* call);             // the error that a driver function returns; 0 for none

}
