// TMA: tensor maps, and loads that arrive at some later moment, at the latest when no thread can run without them.
#include <cstring>

#include "memory.h"
#include "shared.h"
#include "sm90.h"
#include "sm90_state.h"
#include "streams.h"

namespace emu {

namespace {

constexpr uint64_t Magic = 0x70616d726f736e65;      // "ensormap"

// The content of the 128 opaque bytes, as cuTensorMapEncodeTiled writes it.
struct Map {
    uint64_t magic;
    const unsigned char* base;
    uint64_t columns, rows, pitch;      // elements, rows, bytes from row to row
    uint32_t element;                   // bytes
    uint32_t box_columns, box_rows;
    uint32_t swizzle;                   // bytes of a swizzled line: 0, 32, 64 or 128
};
static_assert(sizeof(Map) <= sizeof(TensorMap));

struct Load {
    Map map;
    int x, y;
    unsigned char* to;
    Mbarrier* barrier;
    uint32_t phase;
    Thread* issuer;
    Site site;
};
std::vector<Load> loads;
struct Newest { Mbarrier* barrier; uint32_t phase; Thread* issuer; Site site; };
std::vector<Newest> newest;         // the newest load of each mbarrier

uint32_t box_bytes(const Map& m) { return m.box_columns * m.box_rows * m.element; }

// 16-byte pieces change places within a line of `swizzle` bytes, by the number of the 128-byte line of their address.
uint32_t swizzled(uint32_t address, uint32_t swizzle) {
    return address ^ ((address >> 3) & (swizzle - (swizzle ? 16 : 0)));
}

Map map_of(const TensorMap* map) {
    auto at = reinterpret_cast<const unsigned char*>(map) - parameters();
    if (at < 0 || at + sizeof(TensorMap) > parameter_bytes())
        fail("a tensor map that is not in the kernel's parameters");
    if (at % alignof(TensorMap))
        fail("a tensor map at byte %td of the kernel's parameters; it has to be %zu-byte aligned", at,
            alignof(TensorMap));
    Map copy;
    memcpy(&copy, map, sizeof copy);
    if (copy.magic != Magic) fail("a tensor map that cuTensorMapEncodeTiled did not make");
    return copy;
}

void check_target(const Map& map, unsigned char* to) {
    uint32_t alignment = map.swizzle ? 8 * map.swizzle : 128;
    auto offset = to - shared_owner(to)->shared;
    if (offset % alignment)
        fail("TMA into byte %td of shared memory; with a swizzle of %u bytes it has to be aligned to %u", offset,
             map.swizzle, alignment);
    if (shared_owner(to + box_bytes(map) - 1) != shared_owner(to))
        fail("TMA of %u bytes into byte %td leaves the %zu bytes of shared memory", box_bytes(map), offset,
             shared_bytes());
    if (auto site = product_reading(to, box_bytes(map)); site.line)
        fail("race in shared memory: TMA writes bytes %td to %td, which wgmma at %s:%d may still read", offset,
             offset + box_bytes(map) - 1, site.file, site.line);
    if (auto site = load_bringing(to, box_bytes(map)); site.line)
        fail("race in shared memory: TMA writes bytes %td to %td, which the load at %s:%d has not written yet", offset,
             offset + box_bytes(map) - 1, site.file, site.line);
}

}

void tma_look(Site site, const TensorMap* map) {
    current->waits_at = site;
    map_of(map);
}

void tma(Site site, void* to, const TensorMap* tensor, uint64_t* barrier, int x, int y, uint32_t mask) {
    constexpr auto op = "cp.async.bulk.tensor";
    current->waits_at = site;
    current->waits_for = op;
    auto map = map_of(tensor);
    if (shared_owner(to) != current->block || shared_owner(barrier) != current->block)
        fail("TMA names a target or an mbarrier outside this block's shared memory");
    if (mask >> blocks.size()) fail("TMA multicast to blocks %x of a cluster of %zu", mask, blocks.size());
    if (!mask) mask = 1u << current->block->rank;
    for (auto& block : blocks) {
        if (!(mask >> block.rank & 1)) continue;
        auto& b = mbarrier_in(block, barrier, op);
        require_fenced(b, op);
        auto place = block.shared + (static_cast<unsigned char*>(to) - current->block->shared);
        check_target(map, place);
        shared_bring(place, box_bytes(map), b.number, b.phase);
        memset(place, 0xff, box_bytes(map));        // NaN in every type, for threads that read too early
        loads.push_back({map, x, y, place, &b, b.phase, current, site});
        ++work_under_way;
        bool known = false;
        for (auto& n : newest)
            if (n.barrier == &b) { n = {&b, b.phase, current, site}; known = true; }
        if (!known) newest.push_back({&b, b.phase, current, site});
    }
}

Site load_bringing(const void* p, size_t bytes) {
    for (auto& load : loads)
        if (load.to < static_cast<const unsigned char*>(p) + bytes && p < load.to + box_bytes(load.map))
            return load.site;
    return {};
}

size_t loads_under_way() { return loads.size(); }

void finish_load(size_t which) {
    auto load = loads[which];
    loads.erase(loads.begin() + which);
    --work_under_way;
    OnBehalfOf issuer(*load.issuer, load.site);
    auto& m = load.map;
    auto block = shared_owner(load.to);
    uint32_t line = m.box_columns * m.element, target = uint32_t(load.to - block->shared);
    for (uint32_t r = 0; r < m.box_rows; ++r) {
        alignas(16) unsigned char row[256 * 8];
        memset(row, 0, line);
        int64_t y = int64_t(load.y) + r, first = std::max<int64_t>(load.x, 0);
        int64_t end = std::min<int64_t>(int64_t(load.x) + m.box_columns, int64_t(m.columns));
        if (y >= 0 && y < int64_t(m.rows) && first < end) {
            auto from = m.base + y * m.pitch + first * m.element;
            if (!owned(from, (end - first) * m.element))
                fail("TMA reads row %lld of its matrix outside every allocation", static_cast<long long>(y));
            memcpy(row + (first - load.x) * m.element, from, (end - first) * m.element);
        }
        for (uint32_t c = 0; c < line; c += 16)
            memcpy(block->shared + swizzled(target + r * line + c, m.swizzle), row + c, 16);
    }
    bytes_come(*load.barrier, load.phase, box_bytes(m));
}

void check_loads() {
    for (auto& n : newest)
        if (n.barrier->waited <= n.phase) {
            OnBehalfOf issuer(*n.issuer, n.site);
            fail("TMA was never waited for: "
                 "its bytes may not have arrived when they are read, or when the kernel ends");
        }
}

void reset_loads() {
    loads.clear();
    newest.clear();
}

}

// ---------------------------------------------------------------------------------------------------------------------
// the driver's entry point, by the rules of its reference

namespace {

constexpr int InvalidValue = 1, NotSupported = 801;
// CUtensorMapDataType: u8, u16, u32, i32, u64, i64, f16, f32, f64, bf16
constexpr uint32_t element_bytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2};
constexpr uint32_t swizzle_bytes[] = {0, 32, 64, 128};                      // CUtensorMapSwizzle

int refuse(const std::string& why) {
    emu::set_report(("cuTensorMapEncodeTiled: " + why).c_str());
    return InvalidValue;
}

}

extern "C" __attribute__((visibility("default"))) int cuTensorMapEncodeTiled(void* map, unsigned type, unsigned rank,
    void* base, const uint64_t* sizes, const uint64_t* pitches, const uint32_t* box, const uint32_t* steps,
    unsigned interleave, unsigned swizzle, unsigned promotion, unsigned fill) {
    std::lock_guard<std::recursive_mutex> guard(emu::lock());
    if (int code = emu::injected("cuTensorMapEncodeTiled")) return code;
    if (emu::capability_major() < 9) {
        emu::set_report("cuTensorMapEncodeTiled: this device has no TMA; capability 9.0 has");
        return NotSupported;
    }
    if (!map || reinterpret_cast<uintptr_t>(map) % 64) return refuse("the map is not 64-byte aligned");
    if (rank != 2 || interleave != 0 || fill != 0 || type >= std::size(element_bytes))
        return refuse("only plain matrices filled with zeros are emulated");
    if (swizzle > 3 || promotion > 3) return refuse("an unknown swizzle or promotion");
    if (reinterpret_cast<uintptr_t>(base) % 16) return refuse("the matrix is not 16-byte aligned");
    uint32_t element = element_bytes[type], line = box[0] * element;
    for (int i = 0; i < 2; ++i) {
        if (sizes[i] == 0 || sizes[i] > uint64_t(1) << 32)
            return refuse("size " + std::to_string(sizes[i]) + "; 1 to 2^32");
        if (box[i] == 0 || box[i] > 256) return refuse("a box of " + std::to_string(box[i]) + "; 1 to 256");
        if (steps[i] != 1) return refuse("an element stride of " + std::to_string(steps[i]) + "; only 1 is emulated");
    }
    if (pitches[0] % 16 || pitches[0] >= uint64_t(1) << 40)
        return refuse("a pitch of " + std::to_string(pitches[0]) + " bytes; a multiple of 16 below 2^40");
    if (pitches[0] < sizes[0] * element)
        return refuse("a pitch of " + std::to_string(pitches[0]) + " bytes for rows of "
                      + std::to_string(sizes[0] * element));
    if (line % 16) return refuse("a box line of " + std::to_string(line) + " bytes; a multiple of 16");
    if (swizzle && line > swizzle_bytes[swizzle])
        return refuse("a box line of " + std::to_string(line) + " bytes does not fit a swizzle of "
                      + std::to_string(swizzle_bytes[swizzle]));
    if (swizzle && line < swizzle_bytes[swizzle]) return refuse("a box line shorter than its swizzle is not emulated");
    emu::Map made{emu::Magic, static_cast<const unsigned char*>(base), sizes[0], sizes[1], pitches[0], element, box[0],
                  box[1], swizzle_bytes[swizzle]};
    memset(map, 0, 128);
    memcpy(map, &made, sizeof made);
    return 0;
}
