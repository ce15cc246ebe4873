// Hopper's pipeline used correctly, and with one fault at a time, for EmulatorHopperTests.
#include "sm90/ptx.cuh"

constexpr int STAGES = 2, ROWS = 64, COLUMNS = 256, DEPTH = 64, CLUSTER = 2;

enum Fault : int {      // HopperFault in EmulatorHopperTests.cs
    None, NoFullWait, NoEmptyWait, TooFewBytes, TooManyBytes, NoWgmmaWait, NoFirstFence, NoSecondFence, NoInitFence,
    NoClusterSync, NoFinalSync, ArriveTwice, WrongParity, Misaligned, ReadEarly, WriteEarly, ReleaseEarly, InitTwice,
    Overwrite, OneWarpMissing, DifferentTiles, UnwaitedLoad, Uninitialised, MapInMemory,
};

struct HopperParams {
    TensorMap a, b;         // a [rows, depth], b [columns, depth], bf16, boxes of 64 and 128 rows of 64 elements,
                            // 128-byte swizzle
    float* out;             // [rows, columns]
    const TensorMap* map;   // a copy in global memory
    int rows, columns, depth;
    int fault;
};

struct alignas(1024) HopperShared {
    bf16_bits a[STAGES][ROWS * DEPTH];
    bf16_bits b[STAGES][COLUMNS * DEPTH];
    unsigned char spare[1024];
    uint64_t full[STAGES], empty[STAGES];
};

// The producer thread loads tiles: the block's rows of a, and half of b for both blocks of the cluster, each twice.
static void produce(const HopperParams& p, HopperShared& s, int steps) {
    const uint32_t rank = cluster_rank();
    uint32_t bytes = sizeof s.a[0] + sizeof s.b[0];
    if (p.fault == TooFewBytes) bytes -= sizeof s.b[0] / 2;
    if (p.fault == TooManyBytes) bytes += 16;
    const TensorMap* a = p.fault == MapInMemory ? p.map : &p.a;
    for (int i = 0; i < 2 * steps; ++i) {
        const int stage = i % STAGES, x = i % steps * DEPTH;
        if (p.fault != NoEmptyWait) mbarrier_wait(&s.empty[stage], (i / STAGES + 1) & 1);
        mbarrier_arrive_expect(&s.full[stage], bytes);
        auto to = p.fault == Misaligned ? s.a[stage] + 64 : s.a[stage];
        tma_load(to, a, &s.full[stage], x, blockIdx.x * ROWS);
        tma_load_multicast(s.b[stage] + rank * 128 * DEPTH, &p.b, &s.full[stage], x, rank * 128, 3);
    }
    if (p.fault == UnwaitedLoad) {
        mbarrier_wait(&s.empty[0], (2 * steps / STAGES + 1) & 1);
        mbarrier_arrive_expect(&s.full[0], sizeof s.a[0]);
        tma_load(s.a[0], &p.a, &s.full[0], 0, 0);
    }
}

// Both blocks may load the next tile into this stage of this block.
static void release_stage(HopperShared& s, int stage) {
    if (threadIdx.x == 128)
        for (int rank = 0; rank < CLUSTER; ++rank) mbarrier_arrive_at(&s.empty[stage], rank);
}

static void consume(const HopperParams& p, HopperShared& s, int begin, int end, float (&sums)[128]) {
    if (p.fault != (begin ? NoSecondFence : NoFirstFence)) wgmma_fence();
    for (int i = begin; i < end; ++i) {
        const int stage = i % STAGES;
        if (p.fault != NoFullWait) mbarrier_wait(&s.full[stage], (i / STAGES + (p.fault == WrongParity && i == 1)) & 1);
        if (p.fault == OneWarpMissing && threadIdx.x / 32 == 5) return;
        const int shift = p.fault == DifferentTiles && threadIdx.x / 32 == 5 ? 2 : 0;
        const uint64_t a = wgmma_tile(s.a[stage]), b = wgmma_tile(s.b[stage]);
        for (int k = 0; k < DEPTH / 16; ++k) wgmma_m64n256k16(sums, a + 2 * k + shift * (k == 0), b + 2 * k);
        if (p.fault == ReleaseEarly) release_stage(s, stage);
        wgmma_commit();
        wgmma_wait<1>();
        if (p.fault == ArriveTwice && i == 1) release_stage(s, 0);
        if (i > begin && p.fault != ReleaseEarly) release_stage(s, (i - 1) % STAGES);
    }
    if (p.fault == WriteEarly) sums[5] = 0;
    if (p.fault == ReadEarly) p.out[(blockIdx.x * ROWS) * p.columns] = sums[0];
    if (p.fault != NoWgmmaWait) wgmma_wait<0>();
    if (p.fault != ReleaseEarly) release_stage(s, (end - 1) % STAGES);
}

// The row and column of a thread's sum i in the accumulator of a warpgroup.
static int sum_row(int i) { return 16 * (threadIdx.x / 32 % 4) + threadIdx.x % 32 / 4 + 8 * (i / 2 % 2); }
static int sum_column(int i) { return 8 * (i / 4) + 2 * (threadIdx.x % 4) + i % 2; }

// hopper_pipeline — out = a bᵀ, a tile of 64 x 256 a block, two blocks a cluster, which share b
//   launch grid 2 * ceil(rows / 128), block 256 = a producer and a consumer warpgroup, clusters of 2,
//          shared sizeof(HopperShared)
//   needs columns <= 256
SAE_KERNEL(hopper_pipeline, HopperParams, 256) {
    auto& s = shared_memory<HopperShared>();
    if (threadIdx.x == 0 && p.fault != Uninitialised) {
        for (int i = 0; i < STAGES; ++i) {
            mbarrier_init(&s.full[i], 1);
            mbarrier_init(&s.empty[i], CLUSTER);
        }
        if (p.fault == InitTwice) mbarrier_init(&s.full[0], 1);
        if (p.fault == Overwrite) s.empty[1] = 0;
        if (p.fault != NoInitFence) mbarrier_init_fence();
        tma_prefetch(&p.a);
    }
    if (p.fault == NoClusterSync) __syncthreads(); else cluster_sync();
    const int steps = (p.depth + DEPTH - 1) / DEPTH;
    if (threadIdx.x < 128) {
        registers_shrink<40>();
        if (threadIdx.x == 0) produce(p, s, steps);
    } else {
        float sums[128];
        for (int again = 0; again < 2; ++again) {
            for (auto& sum : sums) sum = 0;
            consume(p, s, again * steps, (again + 1) * steps, sums);
            for (int i = 0; i < 128; ++i) {
                int row = blockIdx.x * ROWS + sum_row(i), column = sum_column(i);
                if (row < p.rows && column < p.columns) p.out[row * p.columns + column] = sums[i];
            }
        }
    }
    if (p.fault != NoFinalSync) cluster_sync();
}

struct SmallParams {
    const float* in;
    float* out;
    int break_rule;
};

struct alignas(1024) ProxyShared { bf16_bits a[64 * 64], b[128 * 64]; };

// A tile that threads store must pass the proxy fence before wgmma reads it. out [64, 128] = in [64, 16] in [., 16]ᵀ,
// where row r of b is row r % 64.
SAE_KERNEL(fault_proxy, SmallParams, 128) {
    auto& s = shared_memory<ProxyShared>();
    for (int i = threadIdx.x; i < 128 * 16; i += 128) {
        int row = i / 16, k = i % 16, at = row * 64 + ((k / 8) ^ (row % 8)) * 8 + k % 8;
        auto value = float_to_bf16(p.in[row % 64 * 16 + k]);
        if (row < 64) s.a[at] = value;
        s.b[at] = value;
    }
    if (!p.break_rule) proxy_fence();
    __syncthreads();
    float sums[64];
    for (auto& sum : sums) sum = 0;
    wgmma_fence();
    wgmma_m64n128k16(sums, wgmma_tile(s.a), wgmma_tile(s.b));
    wgmma_commit();
    wgmma_wait<0>();
    for (int i = 0; i < 64; ++i) p.out[sum_row(i) * 128 + sum_column(i)] = sums[i];
}

// The four layouts of tiles with K contiguous, at a width that no other kernel uses. break_rule: bytes of the swizzled
// line, 0 for none. in [64 + 24, 16], out [64, 24] = the first 64 rows times the last 24 transposed.
SAE_KERNEL(hopper_layouts, SmallParams, 128) {
    auto& s = shared_memory<ProxyShared>();
    const int line = p.break_rule, pieces = line / 16, rows_a_bank_line = line ? 128 / line : 0;
    for (int i = threadIdx.x; i < 88 * 16; i += 128) {
        int row = i / 16 < 64 ? i / 16 : i / 16 - 64, k = i % 16, piece = k / 8;
        int at = line ? row * line / 2 + (piece ^ (row / rows_a_bank_line % pieces)) * 8
            : row / 8 * 128 + piece * 64 + row % 8 * 8;
        (i / 16 < 64 ? s.a : s.b)[at + k % 8] = float_to_bf16(p.in[i]);
    }
    proxy_fence();
    __syncthreads();
    const uint64_t layout = line == 128 ? 1 : line == 64 ? 2 : line == 32 ? 3 : 0;
    const uint64_t stride = line ? 8 * line : 256, leading = line ? 16 : 128;
    auto tile = [&](const void* t) {
        return uint64_t(shared_address(t) >> 4) | leading / 16 << 16 | stride / 16 << 32 | layout << 62;
    };
    float sums[12] = {};
    wgmma_fence();
    wgmma_k16<24>(sums, tile(s.a), tile(s.b));
    wgmma_commit();
    wgmma_wait<0>();
    for (int i = 0; i < 12; ++i) p.out[sum_row(i) * 24 + sum_column(i)] = sums[i];
}

struct WholeShared { int8_t a[64 * 128], b[24 * 128]; };

// The same with 8-bit numbers, twice over K, which is 64. break_rule: the sums are read before the wait.
// in [64 + 24, 64] whole numbers, out [64, 24] = the first 64 rows times the last 24 transposed.
SAE_KERNEL(fault_whole, SmallParams, 128) {
    auto& s = shared_memory<WholeShared>();
    for (int i = threadIdx.x; i < 88 * 64; i += 128) {
        int row = i / 64 < 64 ? i / 64 : i / 64 - 64, k = i % 64;
        (i / 64 < 64 ? s.a : s.b)[row * 128 + ((k / 16) ^ (row % 8)) * 16 + k % 16] = int8_t(p.in[i]);
    }
    proxy_fence();
    __syncthreads();
    int sums[12] = {};
    wgmma_fence();
    for (int k = 0; k < 2; ++k) wgmma_k32<24>(sums, wgmma_tile(s.a) + 2 * k, wgmma_tile(s.b) + 2 * k);
    wgmma_commit();
    if (!p.break_rule) wgmma_wait<0>();
    for (int i = 0; i < 12; ++i) p.out[sum_row(i) * 24 + sum_column(i)] = float(sums[i]);
}

// The register file holds 168 for each of 384 threads: two warpgroups can have 240 when the third goes down to 24.
SAE_KERNEL(fault_registers, SmallParams, 384) {
    if (threadIdx.x < 128) {
        if (!p.break_rule) registers_shrink<24>();
    } else registers_grow<240>();
    p.out[threadIdx.x] = p.in[threadIdx.x];
}

struct NamedShared { float values[256]; };

// Two warps hand values to two others through a named barrier, on which both sides have to agree.
SAE_KERNEL(fault_named, SmallParams, 128) {
    auto& s = shared_memory<NamedShared>();
    if (threadIdx.x < 64) {
        s.values[threadIdx.x] = p.in[threadIdx.x];
        named_barrier_arrive(1, p.break_rule ? 96 : 128);
        p.out[threadIdx.x] = p.in[threadIdx.x];
    } else {
        named_barrier_sync(1, 128);
        p.out[threadIdx.x] = s.values[threadIdx.x - 64];
    }
}

// The values are read with no barrier at all between.
SAE_KERNEL(fault_named_missing, SmallParams, 128) {
    auto& s = shared_memory<NamedShared>();
    if (threadIdx.x < 64) {
        s.values[threadIdx.x] = p.in[threadIdx.x];
        if (!p.break_rule) named_barrier_arrive(2, 128);
        p.out[threadIdx.x] = p.in[threadIdx.x];
    } else {
        if (!p.break_rule) named_barrier_sync(2, 128);
        p.out[threadIdx.x] = s.values[threadIdx.x - 64];
    }
}

// A ring of two slots between a storing and a reading warp, by mbarriers and plain stores.
struct RingShared { float slot[2][32]; uint64_t full[2], empty[2]; };

SAE_KERNEL(fault_ring, SmallParams, 64) {
    auto& s = shared_memory<RingShared>();
    if (threadIdx.x < 2) {
        mbarrier_init(&s.full[threadIdx.x], 1);
        mbarrier_init(&s.empty[threadIdx.x], 32);
    }
    __syncthreads();
    for (int i = 0; i < 6; ++i) {
        int stage = i % 2, lane = threadIdx.x % 32;
        if (threadIdx.x < 32) {
            if (!p.break_rule) mbarrier_wait(&s.empty[stage], (i / 2 + 1) & 1);
            s.slot[stage][lane] = p.in[i * 32 + lane];
            __syncwarp();
            if (lane == 0) mbarrier_arrive(&s.full[stage]);
        } else {
            mbarrier_wait(&s.full[stage], i / 2 & 1);
            p.out[i * 32 + lane] = s.slot[stage][31 - lane];
            mbarrier_arrive(&s.empty[stage]);
        }
    }
}

// A kernel that SAE_KERNEL did not make, so that it does not wait for the kernel before it.
static const emu::KernelEntry hasty_entry{"fault_hasty", sizeof(SmallParams), 32, [](const void* p) {
    auto& small = *static_cast<const SmallParams*>(p);
    if (!small.break_rule) emu::wait_for_previous_kernels();
    small.out[threadIdx.x] = small.in[threadIdx.x];
}};
