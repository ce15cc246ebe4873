// All inline PTX of the Hopper kernels (sm_90a), as inline functions. The emulator replaces the bodies of this header.
// Rules and bit layouts: PTX ISA, "mbarrier", "cp.async.bulk.tensor", "wgmma.mma_async", "Matrix descriptor",
// "setmaxnreg".
#pragma once
#include "../ptx.cuh"

#ifdef SAE_EMULATOR
#include "../emulator/sm90.h"
#else

// ---------------------------------------------------------------------------------------------------------------------
// mbarriers: uint64_t in shared memory. A phase completes when `count` arrivals and all expected bytes have come.
// `parity` is that of the phase to wait for.

__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, uint32_t count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(shared_address(barrier)), "r"(count) : "memory");
}
// Called by the thread that initialised the mbarriers, before a block or cluster barrier. Other threads, and TMA, then
// see them initialised.
__device__ __forceinline__ void mbarrier_init_fence() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(shared_address(barrier)) : "memory");
}
// Arrives, and announces the bytes that TMA will write.
__device__ __forceinline__ void mbarrier_arrive_expect(uint64_t* barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
        :: "r"(shared_address(barrier)), "r"(bytes) : "memory");
}
// Arrives at the mbarrier at the same offset in block `rank` of the cluster, which may be this block. The arrival
// orders what wgmma and plain loads have read from shared memory. Plain stores that another block reads need
// cluster_sync (a release at cluster scope costs a fence to L2 every time).
__device__ __forceinline__ void mbarrier_arrive_at(uint64_t* barrier, uint32_t rank) {
    asm volatile("{ .reg .b32 remote; mapa.shared::cluster.u32 remote, %0, %1; "
        "mbarrier.arrive.shared::cluster.b64 _, [remote]; }"
        :: "r"(shared_address(barrier)), "r"(rank) : "memory");
}
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, uint32_t parity) {
    asm volatile("{ .reg .pred done; again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1; "
        "@done bra over; bra again; over: }"
        :: "r"(shared_address(barrier)), "r"(parity) : "memory");
}

// ---------------------------------------------------------------------------------------------------------------------
// TMA: copies a box of a matrix into shared memory, in the swizzle of the map. Rows and columns beyond the matrix are
// written as zeros and count as bytes. One thread issues a load. x: first element of the row, y: first row.

__device__ __forceinline__ void tma_prefetch(const TensorMap* map) {
    asm volatile("prefetch.tensormap [%0];" :: "l"(map) : "memory");
}

__device__ __forceinline__ void tma_load(void* to, const TensorMap* map, uint64_t* barrier, int x, int y) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%2, %3}], [%4];"
        :: "r"(shared_address(to)), "l"(map), "r"(x), "r"(y), "r"(shared_address(barrier)) : "memory");
}
// Writes to the same offset in every block of the cluster whose bit in `blocks` is set. The mbarrier at the same offset
// in each of these blocks receives the bytes.
__device__ __forceinline__ void tma_load_multicast(void* to, const TensorMap* map, uint64_t* barrier, int x, int y,
                                                   uint16_t blocks) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], [%1, {%2, %3}], [%4], %5;"
        :: "r"(shared_address(to)), "l"(map), "r"(x), "r"(y), "r"(shared_address(barrier)), "h"(blocks) : "memory");
}

// Makes earlier plain stores to shared memory visible to later TMA and wgmma operations.
__device__ __forceinline__ void proxy_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// ---------------------------------------------------------------------------------------------------------------------
// clusters, named barriers, registers

__device__ __forceinline__ uint32_t cluster_rank() {
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// Synchronises all threads of all blocks of the cluster.
__device__ __forceinline__ void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// Barriers 1 to 15 of the block. threads: a multiple of 32, arriving and waiting threads together.
__device__ __forceinline__ void named_barrier_sync(int barrier, int threads) {
    asm volatile("bar.sync %0, %1;" :: "r"(barrier), "r"(threads) : "memory");
}
__device__ __forceinline__ void named_barrier_arrive(int barrier, int threads) {
    asm volatile("bar.arrive %0, %1;" :: "r"(barrier), "r"(threads) : "memory");
}

// Sets the registers a thread of this warpgroup; all 128 threads execute it together. count: a multiple of 8 from 24 to
// 256.
template <int count>
__device__ __forceinline__ void registers_shrink() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(count));
}
template <int count>
__device__ __forceinline__ void registers_grow() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(count)); }

// ---------------------------------------------------------------------------------------------------------------------
// wgmma: an asynchronous product of two tiles in shared memory by a warpgroup. Element i of thread t's sums is row 16
// (t / 32 % 4) + t % 32 / 4 + 8 (i / 2 % 2), column 8 (i / 4) + 2 (t % 4) + i % 2; hopper_tile.cuh draws it.

// Required where registers were written before the first product of a group, or between two products.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Waits until at most `pending` of the newest groups are unfinished.
template <int pending>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(pending) : "memory");
}

// Descriptor of a tile of rows with K contiguous in 128-byte lines (64 bf16 or 128 8-bit numbers), 128-byte swizzle,
// 1024-byte aligned. Add 2 for each further 32 bytes of K.
__device__ __forceinline__ uint64_t wgmma_tile(const void* tile) {
    return uint64_t((shared_address(tile) & 0x3ffff) >> 4) | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32
        | uint64_t(1) << 62;
}

// Pins registers at this point: the compiler may not move reads or writes of them across it. Otherwise ptxas would wait
// after each product.
template <int count> __device__ __forceinline__ void wgmma_hold(float (&sums)[count]) {
#pragma unroll
    for (int i = 0; i < count; ++i) asm volatile("" : "+f"(sums[i]) :: "memory");
}
template <int count> __device__ __forceinline__ void wgmma_hold(int (&sums)[count]) {
#pragma unroll
    for (int i = 0; i < count; ++i) asm volatile("" : "+r"(sums[i]) :: "memory");
}

// The sums of a thread in an instruction: their operand names, and the operands with their constraints.
#define SAE_NAMES64 \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
    "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
    "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define SAE_NAMES128 SAE_NAMES64 "," \
    "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79," \
    "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95," \
    "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111," \
    "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define SAE_SUMS4(kind, i) kind(d[i]), kind(d[i + 1]), kind(d[i + 2]), kind(d[i + 3])
#define SAE_SUMS16(kind, i) SAE_SUMS4(kind, i), SAE_SUMS4(kind, i + 4), SAE_SUMS4(kind, i + 8), SAE_SUMS4(kind, i + 12)
#define SAE_SUMS64(kind, i) \
    SAE_SUMS16(kind, i), SAE_SUMS16(kind, i + 16), SAE_SUMS16(kind, i + 32), SAE_SUMS16(kind, i + 48)

// sums [64, 256] f32 += a [64, 16] bf16 x b [256, 16] bf16 transposed.
__device__ __forceinline__ void wgmma_m64n256k16(float (&d)[128], uint64_t a, uint64_t b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" SAE_NAMES128 "}, %128, %129, 1, 1, 1, 0, 0;"
        : SAE_SUMS64("+f", 0), SAE_SUMS64("+f", 64)
        : "l"(a), "l"(b));
}
// sums [64, 128] f32 += a [64, 16] bf16 x b [128, 16] bf16 transposed.
__device__ __forceinline__ void wgmma_m64n128k16(float (&d)[64], uint64_t a, uint64_t b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" SAE_NAMES64 "}, %64, %65, 1, 1, 1, 0, 0;"
        : SAE_SUMS64("+f", 0)
        : "l"(a), "l"(b));
}

// sums [64, 256] s32 += a [64, 32] s8 x b [256, 32] s8 transposed, exact. The integer form of the instruction neither
// negates nor transposes.
__device__ __forceinline__ void wgmma_m64n256k32(int (&d)[128], uint64_t a, uint64_t b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n256k32.s32.s8.s8 {" SAE_NAMES128 "}, %128, %129, 1;"
        : SAE_SUMS64("+r", 0), SAE_SUMS64("+r", 64)
        : "l"(a), "l"(b));
}

#undef SAE_SUMS64
#undef SAE_SUMS16
#undef SAE_SUMS4
#undef SAE_NAMES128
#undef SAE_NAMES64

#endif
