// Asynchronous copies with delayed effect, ldmatrix and mma over a whole warp.
#include "ptx.h"

#include "memory.h"
#include "races.h"
#include "tensor_cores.h"

namespace emu {

namespace {

void finish(PendingCopy& copy) {
    if (copy.bytes >= 0) shared_write(copy.to, 16, nullptr);
    if (copy.bytes > 0) memcpy(copy.to, copy.from, 16);
    else if (copy.bytes == 0) memset(copy.to, 0, 16);
    copy.bytes = -1;
}

}

// The bytes arrive at the wait that covers their group, or at once if the seed says so; a program cannot rely on them
// earlier.
void copy_async(Site site, void* to, const void* from, int bytes) {
    current->waits_at = site;
    if (reinterpret_cast<uintptr_t>(to) % 16 || (bytes && reinterpret_cast<uintptr_t>(from) % 16))
        fail("cp.async of 16 bytes is not aligned to 16");
    if (!in_shared(to) || !in_shared(static_cast<char*>(to) + 15)) fail("cp.async writes outside shared memory");
    if (bytes != 0 && bytes != 16) fail("cp.async of %d bytes; 16 or 0", bytes);
    if (bytes && !owned(from, 16)) fail("cp.async reads outside every allocation");
    if (bytes == 0) { shared_write(to, 16, nullptr); memset(to, 0, 16); return; }
    current->copies.push_back({to, from, bytes, current->copy_group, site});
    if (random_bits() % 8 == 0) {
        finish(current->copies.back());
        current->copies.back().bytes = 16;      // must still be waited for
    }
}

void copy_commit() { ++current->copy_group; }

void copy_wait(int pending) {
    auto& copies = current->copies;
    size_t kept = 0;
    for (auto& copy : copies) {
        if (copy.group < current->copy_group - pending) finish(copy);
        else copies[kept++] = copy;
    }
    copies.resize(kept);
}

void load_matrices(Site site, uint32_t* r, const void* row, bool transpose) {
    LoadMatrix args{r, row};
    current->waits_at = site;
    if (!in_shared(row) || reinterpret_cast<uintptr_t>(row) % 16)
        fail("ldmatrix reads a row that is not 16-byte aligned in shared memory");
    shared_read(row, 16, nullptr);
    auto plain = [](void** all, uint32_t) {
        for (int t = 0; t < 32; ++t)
            for (int j = 0; j < 4; ++j) {
                auto source =
                    static_cast<const uint16_t*>(static_cast<LoadMatrix*>(all[8 * j + t / 4])->row) + 2 * (t % 4);
                static_cast<LoadMatrix*>(all[t])->r[j] = uint32_t(source[0]) | uint32_t(source[1]) << 16;
            }
    };
    auto turned = [](void** all, uint32_t) {
        for (int t = 0; t < 32; ++t)
            for (int j = 0; j < 4; ++j) {
                auto at = [&](int i) {
                    return static_cast<const uint16_t*>(static_cast<LoadMatrix*>(all[8 * j + i])->row)[t / 4];
                };
                static_cast<LoadMatrix*>(all[t])->r[j] =
                    uint32_t(at(2 * (t % 4))) | uint32_t(at(2 * (t % 4) + 1)) << 16;
            }
    };
    if (transpose) collective(site, "ldmatrix.trans", 0xffffffffu, &args, turned);
    else collective(site, "ldmatrix", 0xffffffffu, &args, plain);
}

namespace {

struct Multiply { float* c; const uint32_t* a; uint32_t b[2]; };

float half_of(uint32_t pair, int which) { return std::bit_cast<float>(which ? pair & 0xffff0000u : pair << 16); }

// c [16, 8] += a [16, 16] · b [16, 8]; products are exact in float32, sums are formed in ascending k or truncated.
void multiply_warp(void** all, uint32_t) {
    float a[16][16], b[16][8];
    for (int t = 0; t < 32; ++t) {
        auto& lane = *static_cast<Multiply*>(all[t]);
        int g = t / 4, q = t % 4;
        for (int i = 0; i < 8; ++i)
            a[g + 8 * ((i >> 1) & 1)][2 * q + (i & 1) + 8 * (i >> 2)] = half_of(lane.a[i >> 1], i & 1);
        for (int i = 0; i < 4; ++i) b[2 * q + (i & 1) + 8 * (i >> 1)][g] = half_of(lane.b[i >> 1], i & 1);
    }
    for (int row = 0; row < 16; ++row) {
        auto c = [&](int column) -> float& {
            return static_cast<Multiply*>(all[row % 8 * 4 + column / 2])->c[row / 8 * 2 + column % 2];
        };
        float sums[8];
        for (int column = 0; column < 8; ++column) sums[column] = c(column);
        add_products(a[row], b[0], 8, sums, MmaBits);
        for (int column = 0; column < 8; ++column) c(column) = sums[column];
    }
}

struct MultiplyBytes { int* c; const uint32_t* a; uint32_t b[2]; };

// c [16, 8] += a [16, 32] · b [32, 8] of signed bytes, four to a register along k.
void multiply_bytes_warp(void** all, uint32_t) {
    int a[16][32], b[32][8];
    auto byte = [](uint32_t four, int i) { return int(int8_t(four >> 8 * i)); };
    for (int t = 0; t < 32; ++t) {
        auto& lane = *static_cast<MultiplyBytes*>(all[t]);
        int g = t / 4, q = t % 4;
        for (int i = 0; i < 16; ++i)
            a[g + 8 * ((i >> 2) & 1)][4 * q + (i & 3) + 16 * (i >> 3)] = byte(lane.a[i >> 2], i & 3);
        for (int i = 0; i < 8; ++i) b[4 * q + (i & 3) + 16 * (i >> 2)][g] = byte(lane.b[i >> 2], i & 3);
    }
    for (int t = 0; t < 32; ++t) {
        auto c = static_cast<MultiplyBytes*>(all[t])->c;
        for (int i = 0; i < 4; ++i)
            for (int k = 0; k < 32; ++k) c[i] += a[t / 4 + 8 * (i >> 1)][k] * b[k][2 * (t % 4) + (i & 1)];
    }
}

}

void multiply(Site site, float* c, const uint32_t* a, uint32_t b0, uint32_t b1) {
    Multiply args{c, a, {b0, b1}};
    collective(site, "mma.m16n8k16", 0xffffffffu, &args, multiply_warp);
}

void multiply_bytes(Site site, int* c, const uint32_t* a, uint32_t b0, uint32_t b1) {
    MultiplyBytes args{c, a, {b0, b1}};
    collective(site, "mma.m16n8k32", 0xffffffffu, &args, multiply_bytes_warp);
}

}
