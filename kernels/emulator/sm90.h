// Emulated bodies of kernels/sm90/ptx.cuh. Rules: PTX ISA, "mbarrier", "cp.async.bulk.tensor", "wgmma.mma_async",
// "Matrix descriptor", "setmaxnreg".
#pragma once
#include "../ptx.cuh"

namespace emu {

void mbarrier_start(Site site, uint64_t* barrier, uint32_t count);
void mbarrier_start_fence();
// rank: of the block in the cluster, -1: this one
void mbarrier_arrival(Site site, uint64_t* barrier, int rank, uint32_t bytes);
void mbarrier_await(Site site, uint64_t* barrier, uint32_t parity);

void tma(Site site, void* to, const TensorMap* map, uint64_t* barrier, int x, int y, uint32_t blocks);
void tma_look(Site site, const TensorMap* map);

uint32_t shared_window(const void* p);
void fence_proxies();
void cluster_barrier(Site site);
void named_barrier_wait(Site site, int barrier, int count);
void named_barrier_arrival(Site site, int barrier, int count);
void set_registers(Site site, int count, bool grow);

void wgmma_order();
void wgmma_close();
void wgmma_await(Site site, int pending);
// sums [64, columns]: columns / 2 a thread, floats of bf16 operands or whole numbers of signed 8-bit ones.
void wgmma(Site site, float* sums, int columns, uint64_t a, uint64_t b);
void wgmma(Site site, int* sums, int columns, uint64_t a, uint64_t b);

}

// The place of the call in the kernel: default arguments are evaluated there.
#define EMU_CALLER emu::Site site = {__builtin_FILE(), __builtin_LINE()}

inline uint32_t shared_address(const void* p) { return emu::shared_window(p); }

inline void mbarrier_init(uint64_t* barrier, uint32_t count, EMU_CALLER) { emu::mbarrier_start(site, barrier, count); }
inline void mbarrier_init_fence() { emu::mbarrier_start_fence(); }
inline void mbarrier_arrive(uint64_t* barrier, EMU_CALLER) { emu::mbarrier_arrival(site, barrier, -1, 0); }
inline void mbarrier_arrive_expect(uint64_t* barrier, uint32_t bytes, EMU_CALLER) {
    emu::mbarrier_arrival(site, barrier, -1, bytes);
}
inline void mbarrier_arrive_at(uint64_t* barrier, uint32_t rank, EMU_CALLER) {
    emu::mbarrier_arrival(site, barrier, int(rank), 0);
}
inline void mbarrier_wait(uint64_t* barrier, uint32_t parity, EMU_CALLER) {
    emu::mbarrier_await(site, barrier, parity);
}

inline void tma_prefetch(const TensorMap* map, EMU_CALLER) { emu::tma_look(site, map); }
inline void tma_load(void* to, const TensorMap* map, uint64_t* barrier, int x, int y, EMU_CALLER) {
    emu::tma(site, to, map, barrier, x, y, 0);
}
inline void tma_load_multicast(void* to, const TensorMap* map, uint64_t* barrier, int x, int y, uint16_t blocks,
                               EMU_CALLER) {
    if (blocks == 0) emu::fail("TMA multicast to no block, at %s:%d", site.file, site.line);
    emu::tma(site, to, map, barrier, x, y, blocks);
}
inline void proxy_fence() { emu::fence_proxies(); }

inline uint32_t cluster_rank() { return uint32_t(emu::current->block->rank); }
inline void cluster_sync(EMU_CALLER) { emu::cluster_barrier(site); }
inline void named_barrier_sync(int barrier, int threads, EMU_CALLER) {
    emu::named_barrier_wait(site, barrier, threads);
}
inline void named_barrier_arrive(int barrier, int threads, EMU_CALLER) {
    emu::named_barrier_arrival(site, barrier, threads);
}
template <int count> void registers_shrink(EMU_CALLER) { emu::set_registers(site, count, false); }
template <int count> void registers_grow(EMU_CALLER) { emu::set_registers(site, count, true); }

inline void wgmma_fence() { emu::wgmma_order(); }
inline void wgmma_commit() { emu::wgmma_close(); }
template <int pending> void wgmma_wait(EMU_CALLER) { emu::wgmma_await(site, pending); }
inline uint64_t wgmma_tile(const void* tile) {
    return uint64_t((shared_address(tile) & 0x3ffff) >> 4) | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32
        | uint64_t(1) << 62;
}
template <typename Sum, int count> void wgmma_hold(Sum (&)[count]) {}
template <int columns> void wgmma_k16(float (&sums)[columns / 2], uint64_t a, uint64_t b, EMU_CALLER) {
    static_assert(columns % 8 == 0 && columns >= 8 && columns <= 256, "wgmma has 8 to 256 columns, in steps of 8");
    emu::wgmma(site, sums, columns, a, b);
}
template <int columns> void wgmma_k32(int (&sums)[columns / 2], uint64_t a, uint64_t b, EMU_CALLER) {
    static_assert(columns == 8 || columns == 24 || (columns % 16 == 0 && columns <= 256),
                  "wgmma of whole numbers has 8, 24, or 16 to 256 columns in steps of 16");
    emu::wgmma(site, sums, columns, a, b);
}
inline void wgmma_m64n256k16(float (&sums)[128], uint64_t a, uint64_t b, EMU_CALLER) {
    emu::wgmma(site, sums, 256, a, b);
}
inline void wgmma_m64n128k16(float (&sums)[64], uint64_t a, uint64_t b, EMU_CALLER) {
    emu::wgmma(site, sums, 128, a, b);
}
inline void wgmma_m64n256k32(int (&sums)[128], uint64_t a, uint64_t b, EMU_CALLER) {
    emu::wgmma(site, sums, 256, a, b);
}
