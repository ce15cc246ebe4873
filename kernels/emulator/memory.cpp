#include "memory.h"

#include <cstdlib>
#include <cstring>
#include <map>

#include "fibers.h"

namespace emu {

namespace {

constexpr size_t Canary = 256;
struct Allocation { size_t bytes; size_t number; };
std::map<unsigned char*, Allocation> allocations;
size_t total, count;

}

void* allocate(size_t bytes) {
    if (total + bytes > DeviceBytes) return nullptr;
    auto size = (bytes + 255) & ~size_t(255);
    auto base = static_cast<unsigned char*>(aligned_alloc(256, size + 2 * Canary));
    if (!base) return nullptr;
    memset(base, CanaryByte, size + 2 * Canary);
    memset(base + Canary, PoisonByte, bytes);
    allocations[base + Canary] = {bytes, ++count};
    total += bytes;
    return base + Canary;
}

bool release_allocation(void* p) {
    auto found = allocations.find(static_cast<unsigned char*>(p));
    if (found == allocations.end()) return false;
    total -= found->second.bytes;
    free(found->first - Canary);
    allocations.erase(found);
    return true;
}

bool owned(const void* p, size_t bytes) {
    auto at = static_cast<unsigned char*>(const_cast<void*>(p));
    auto after = allocations.upper_bound(at);
    if (after == allocations.begin()) return false;
    auto& [start, allocation] = *--after;
    return at >= start && at + bytes <= start + allocation.bytes;
}

void check_canaries(const char* kernel) {
    for (auto& [start, a] : allocations) {
        auto check = [&, bytes = a.bytes, number = a.number](unsigned char* from, unsigned char* to) {
            for (auto p = from; p < to; ++p)
                if (*p != CanaryByte) {
                    auto offset = p - start;
                    memset(from, CanaryByte, to - from);
                    fail("write outside allocation %zu of %zu bytes, at byte %td, by kernel %s", number, bytes, offset,
                         kernel);
                }
        };
        check(start - Canary, start);
        check(start + a.bytes, start + ((a.bytes + 255) & ~size_t(255)) + Canary);
    }
}

size_t live_allocations() { return allocations.size(); }
size_t live_bytes() { return total; }

}
