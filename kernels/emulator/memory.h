// Device memory: every allocation is poisoned and lies between canaries.
#pragma once
#include <cstddef>
#include <cstdint>

namespace emu {

constexpr unsigned char PoisonByte = 0xCD, CanaryByte = 0xA5;

void* allocate(size_t bytes);           // null when the emulated device is full
bool release_allocation(void* p);       // false: not an allocation
bool owned(const void* p, size_t bytes);
void check_canaries(const char* kernel);    // fails with the number of the allocation
size_t live_allocations();
size_t live_bytes();
constexpr size_t DeviceBytes = size_t(8) << 30;

bool on_stack(const void* p);           // of any thread: the last lane of a collective writes the results of the others

}
