#include "shared.h"

#include <cstring>

#include "memory.h"

namespace emu {

namespace {

constexpr size_t Line = 1024;

std::vector<unsigned char> storage;
unsigned char* start;
size_t size, stride, total;     // bytes of one block, from block to block, of all of them

}

void prepare_shared(size_t bytes) {
    size = bytes;
    stride = (bytes + Line - 1) / Line * Line + Line;
    total = stride * blocks.size();
    storage.resize(total + 2 * Line);
    auto from = reinterpret_cast<uintptr_t>(storage.data());
    start = reinterpret_cast<unsigned char*>((from + 2 * Line - 1) & ~uintptr_t(Line - 1));
    memset(storage.data(), CanaryByte, storage.size());
    for (auto& block : blocks) {
        block.shared = start + stride * block.rank;
        memset(block.shared, PoisonByte, bytes);
    }
}

void check_shared() {
    auto check = [](unsigned char* from, unsigned char* to) {
        for (auto p = from; p < to; ++p)
            if (*p != CanaryByte)
                fail("write outside shared memory, at byte %td of %zu",
                     p - (from == storage.data() ? start : from - size), size);
    };
    check(storage.data(), start);
    for (auto& block : blocks)
        check(block.shared + size, block.rank + 1 < int(blocks.size())
            ? block.shared + stride : storage.data() + storage.size());
}

void* shared_block(size_t bytes) {
    if (bytes > size) fail("the kernel lays out %zu bytes of shared memory, the launch gave %zu", bytes, size);
    return current->block->shared;
}
size_t shared_bytes() { return size; }
bool in_shared(const void* p) {
    return blocks.size() == 1 ? p >= start && p < start + size : shared_owner(p) != nullptr;
}
Block* shared_owner(const void* p) {
    if (p < start || p >= start + total) return nullptr;
    auto at = static_cast<const unsigned char*>(p) - start;
    return at % stride < size ? &blocks[at / stride] : nullptr;
}
size_t shared_offset(const void* p) { return static_cast<const unsigned char*>(p) - start; }

}
