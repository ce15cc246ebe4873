#include "faults.h"

#include <chrono>
#include <cstdlib>
#include <map>
#include <sstream>
#include <thread>

namespace emu {

static std::map<std::string, Fault> read() {
    std::map<std::string, Fault> all;
    auto text = getenv("CUDASAE_EMULATOR_FAULT");
    std::istringstream list(text ? text : "");
    for (std::string one; std::getline(list, one, ',');) {
        auto equals = one.find('='), at = one.find('@');
        if (equals == one.npos) continue;
        auto what = one.substr(equals + 1, at == one.npos ? at : at - equals - 1);
        all[one.substr(0, equals)] = {what, at == one.npos ? 0 : atol(one.c_str() + at + 1)};
    }
    return all;
}

int Fault::code() const { return atoi(what.c_str()); }

bool Fault::in_kernel() const { return code() == 0 || code() >= 700; }

int Fault::run() const {
    if (what == "abort") abort();
    while (what == "hang") std::this_thread::sleep_for(std::chrono::seconds(1));
    return code();
}

Fault* planted(const char* name) {
    static auto all = read();
    if (all.empty()) return nullptr;
    auto found = all.find(name);
    return found == all.end() ? nullptr : &found->second;
}

int planted_call(const char* call) {
    auto fault = planted(call);
    return fault && fault->due() ? fault->code() : 0;
}

}
