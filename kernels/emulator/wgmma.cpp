// wgmma: products of tiles in shared memory. They are done some time between their commit and the wait that covers
// them. Until then the registers of the sums hold NaN; the sums are kept here and are written at each thread's wait.
#include <cstring>
#include <memory>

#include "shared.h"
#include "sm90.h"
#include "sm90_state.h"
#include "tensor_cores.h"

namespace emu {

namespace {

constexpr int Rows = 64, MostColumns = 256, KBytes = 32;        // of K: 16 bf16 or 32 8-bit numbers
constexpr uint32_t Unfinished = 0x7fc0beef;     // a NaN, and not a sum of 8-bit products that this engine forms

enum class Kind { Floats, Whole };
struct Operand { uint32_t start, leading, stride, swizzle; int rows; };
struct Product { Operand a, b; Kind kind; int columns, group; Site site; uint32_t* sums; bool done; };

// The sums of products: `registers` of each thread, [64, columns] in all.
struct Sums {
    Kind kind;
    int columns, last_group, landed_count;
    bool flying;
    uint32_t* registers[128];           // bits of floats or whole numbers, here and below
    bool landed[128];
    alignas(32) uint32_t values[Rows * MostColumns];
    // values when the sums were written, and at the last fence
    uint32_t left[128][MostColumns / 2], fenced[128][MostColumns / 2];
    bool has_fence[128];
};

struct Group {      // a warpgroup
    std::vector<Product> products;              // in order, until a thread has waited for them
    std::vector<std::unique_ptr<Sums>> sums;
};
std::vector<Group> groups;

int groups_a_block() { return (blocks[0].count + 127) / 128; }
Group& group_of(const Thread& thread) {
    if (groups.empty()) groups.resize(groups_a_block() * blocks.size());
    return groups[thread.block->rank * groups_a_block() + thread.id / 128];
}

// Element i of thread t (PTX ISA, register fragments of D of wgmma.mma_async.m64nNk16).
int place(int t, int i, int columns) {
    return (16 * (t / 32) + t % 32 / 4 + 8 * (i / 2 % 2)) * columns + 8 * (i / 4) + 2 * (t % 4) + i % 2;
}

// A thread's registers may lie in a frame that no longer exists: they are compared, never used.
[[gnu::no_sanitize("address", "undefined")]] bool same(const volatile uint32_t* registers, const uint32_t* then,
                                                       int count) {
    for (int i = 0; i < count; ++i)
        if (registers[i] != then[i]) return false;
    return true;
}
[[gnu::no_sanitize("address", "undefined")]] void keep(const volatile uint32_t* registers, uint32_t* into, int count) {
    for (int i = 0; i < count; ++i) into[i] = registers[i];
}

// ---------------------------------------------------------------------------------------------------------------------
// operands: [rows, 32 bytes] with K contiguous

Operand decode(uint64_t descriptor, int rows, const char* which) {
    constexpr uint32_t lines[] = {0, 128, 64, 32};
    Operand o{uint32_t(descriptor & 0x3fff) << 4, uint32_t(descriptor >> 16 & 0x3fff) << 4,
              uint32_t(descriptor >> 32 & 0x3fff) << 4, lines[descriptor >> 62], rows};
    if (descriptor & ~0xc0003fff3fff3fffull)
        fail("wgmma's descriptor of %s, %016llx, has bits where there is no field, "
             "or a base offset, which is not emulated", which, static_cast<unsigned long long>(descriptor));
    uint32_t pattern = 8 * o.swizzle, first = o.swizzle ? o.start & ~(o.swizzle - 1) : o.start;
    if (o.swizzle && first % pattern)
        fail("wgmma's tile %s begins at byte %u of its window; with a swizzle of %u bytes it has to be aligned to %u",
             which, first, o.swizzle, pattern);
    if (o.swizzle && o.start - first + KBytes > o.swizzle)
        fail("wgmma's tile %s begins %u bytes into a line of %u: fewer than 32 follow", which, o.start - first,
             o.swizzle);
    if (o.swizzle && o.stride != pattern)
        fail("wgmma's tile %s has a stride of %u bytes from 8 rows to the next; dense lines of %u have %u", which,
             o.stride, o.swizzle, pattern);
    return o;
}

// Offset of 16 bytes in the shared memory of the block: the first or second half of a row.
int64_t piece(const Operand& o, int row, int half) {
    uint32_t line = o.swizzle ? o.swizzle : 16;
    uint32_t address = o.start + row / 8 * o.stride + row % 8 * line + half * (o.swizzle ? 16 : o.leading);
    return int64_t(o.swizzle ? address ^ ((address >> 3) & (o.swizzle - 16)) : address) - SharedWindow;
}

// The range of bytes of each 8 rows: begin, end.
template <typename Use> bool any_range(const Operand& o, Use use) {
    for (int row = 0; row < o.rows; row += 8) {
        uint32_t begin = o.start + row / 8 * o.stride;
        if (o.swizzle) {
            begin = begin & ~(o.swizzle - 1);
            if (use(int64_t(begin) - SharedWindow, int64_t(begin) + 8 * o.swizzle - SharedWindow)) return true;
        } else
            for (int half = 0; half < 2; ++half)
                if (use(int64_t(begin + half * o.leading) - SharedWindow,
                        int64_t(begin + half * o.leading) + 128 - SharedWindow))
                    return true;
    }
    return false;
}

void check_operand(const Operand& o, const char* which) {
    any_range(o, [&](int64_t begin, int64_t end) {
        if (begin < 0 || end > int64_t(shared_bytes()))
            fail("wgmma's tile %s leaves shared memory: bytes %lld to %lld of %zu", which,
                 static_cast<long long>(begin), static_cast<long long>(end), shared_bytes());
        if (auto site = load_bringing(current->block->shared + begin, end - begin); site.line)
            fail("race in shared memory: wgmma reads bytes %lld to %lld, which the load at %s:%d has not written yet",
                 static_cast<long long>(begin), static_cast<long long>(end - 1), site.file, site.line);
        return false;
    });
#ifdef EMU_RACES
    for (int row = 0; row < o.rows; ++row)
        for (int half = 0; half < 2; ++half) shared_product(current->block->shared + piece(o, row, half), 16);
#endif
}

// ---------------------------------------------------------------------------------------------------------------------
// arithmetic of floats: sums [64, columns] += a [64, 16] · b [columns, 16]ᵀ, in one of the two ways of tensor_cores.h

constexpr int Depth = KBytes / 2;

float number(const unsigned char* p) { uint16_t h; memcpy(&h, p, 2); return std::bit_cast<float>(uint32_t(h) << 16); }

void multiply_floats(const Product& p, const unsigned char* shared) {
    static float a[Rows][Depth], b[Depth][MostColumns];
    for (int row = 0; row < Rows; ++row)
        for (int k = 0; k < Depth; ++k) a[row][k] = number(shared + piece(p.a, row, k / 8) + 2 * (k % 8));
    for (int c = 0; c < p.columns; ++c)
        for (int half = 0; half < 2; ++half) {
            auto from = shared + piece(p.b, c, half);
            for (int k = 0; k < 8; ++k) b[8 * half + k][c] = number(from + 2 * k);
        }
    auto sums = reinterpret_cast<float*>(p.sums);
    for (int row = 0; row < Rows; ++row)
        for (int c = 0; c < p.columns; c += TensorColumns)
            add_products(a[row], &b[0][c], MostColumns, sums + row * p.columns + c, WgmmaBits);
}

// Whole numbers: a [64, 32] · b [columns, 32]ᵀ, exact. A sum beyond 32 bits wraps around, as in the instruction without
// .satfinite.
void multiply_whole(const Product& p, const unsigned char* shared) {
    static int16_t b[KBytes][MostColumns];
    for (int c = 0; c < p.columns; ++c)
        for (int k = 0; k < KBytes; ++k) b[k][c] = int8_t(shared[piece(p.b, c, k / 16) + k % 16]);
    for (int row = 0; row < Rows; ++row)
        for (int k = 0; k < KBytes; ++k) {
            int a = int8_t(shared[piece(p.a, row, k / 16) + k % 16]);
            for (int c = 0; c < p.columns; ++c) p.sums[row * p.columns + c] += uint32_t(a * b[k][c]);
        }
}

// All products of groups before `end`, in order.
void do_groups(Group& group, const Block& block, int end) {
    for (auto& product : group.products) {
        if (product.group >= end) break;
        if (product.done) continue;
        (product.kind == Kind::Floats ? multiply_floats : multiply_whole)(product, block.shared);
        product.done = true;
        --work_under_way;
    }
}

// ---------------------------------------------------------------------------------------------------------------------

struct Issue { uint32_t* registers; Kind kind; int columns; uint64_t a, b; };

void start_sums(Sums& s, void** all, const Thread* first) {
    for (int t = 0; t < 128; ++t) {
        auto registers = static_cast<Issue*>(all[t])->registers;
        bool known = s.registers[t] == registers && s.landed[t];
        bool kept = known && same(registers, s.left[t], s.columns / 2);
        bool ordered =
            known && s.has_fence[t] ? same(registers, s.fenced[t], s.columns / 2) : !known && first[t].wgmma_fenced;
        if (!kept && !ordered) fail("thread %d wrote sums and no wgmma.fence follows before wgmma", first[t].id);
        s.registers[t] = registers;
        for (int i = 0; i < s.columns / 2; ++i) {
            s.values[place(t, i, s.columns)] = registers[i];
            registers[i] = Unfinished;
        }
        s.landed[t] = s.has_fence[t] = false;
    }
    s.flying = true;
    s.landed_count = 0;
    for (int t = 0; t < 128; ++t) ++threads[first[t].slot].wgmma_flights;
}

bool issue(void** all) {
    auto& block = *current->block;
    auto first = &threads[block.first + current->id / 128 * 128];
    auto& mine = *static_cast<Issue*>(all[0]);
    for (int t = 1; t < 128; ++t) {
        auto& other = *static_cast<Issue*>(all[t]);
        if (other.a != mine.a || other.b != mine.b || other.columns != mine.columns || other.kind != mine.kind)
            fail("wgmma: threads %d and %d of a warpgroup name different tiles", first[0].id, first[t].id);
        if (first[t].wgmma_commits != first[0].wgmma_commits)
            fail("wgmma: threads %d and %d of a warpgroup have committed %d and %d groups", first[0].id, first[t].id,
                 first[0].wgmma_commits, first[t].wgmma_commits);
    }
    if (!first[0].wgmma_fenced) fail("wgmma without a wgmma.fence before the first");
    Product p{decode(mine.a, Rows, "A"), decode(mine.b, mine.columns, "B"), mine.kind, mine.columns,
              first[0].wgmma_commits, current->waits_at, nullptr, false};
    check_operand(p.a, "A");
    check_operand(p.b, "B");
    auto& group = group_of(*current);
    Sums* s = nullptr;
    for (auto& known : group.sums)
        if (known->registers[0] == mine.registers && known->columns == mine.columns && known->kind == mine.kind)
            s = known.get();
    if (!s) {
        group.sums.push_back(std::make_unique<Sums>());
        s = group.sums.back().get();
        s->kind = mine.kind;
        s->columns = mine.columns;
    }
    if (s->flying && s->landed_count)
        fail("wgmma: %d threads of the warpgroup have waited for the previous products, the others have not",
             s->landed_count);
    if (!s->flying) start_sums(*s, all, first);
    for (int t = 0; t < 128; ++t)
        if (static_cast<Issue*>(all[t])->registers != s->registers[t])
            fail("wgmma: thread %d names other sums than before", first[t].id);
    s->last_group = p.group;
    p.sums = s->values;
    group.products.push_back(p);
    ++work_under_way;
    return true;
}

void land(Sums& s, int t) {
    for (int i = 0; i < s.columns / 2; ++i) {
        if (s.registers[t][i] != Unfinished) fail("sums were written while wgmma was summing into them");
        s.registers[t][i] = s.values[place(t, i, s.columns)];
    }
    keep(s.registers[t], s.left[t], s.columns / 2);
    s.landed[t] = true;
    if (++s.landed_count == 128) s.flying = false;
    --current->wgmma_flights;
}

}

void wgmma_order() {
    current->wgmma_fenced = true;
    int t = current->id % 128;
    for (auto& s : group_of(*current).sums)
        if (s->landed[t]) {
            keep(s->registers[t], s->fenced[t], s->columns / 2);
            s->has_fence[t] = true;
        }
}

void wgmma_close() { ++current->wgmma_commits; }

void wgmma(Site site, float* sums, int columns, uint64_t a, uint64_t b) {
    Issue mine{reinterpret_cast<uint32_t*>(sums), Kind::Floats, columns, a, b};
    warpgroup(site, "wgmma", &mine, issue);
}

void wgmma(Site site, int* sums, int columns, uint64_t a, uint64_t b) {
    Issue mine{reinterpret_cast<uint32_t*>(sums), Kind::Whole, columns, a, b};
    warpgroup(site, "wgmma", &mine, issue);
}

void wgmma_await(Site site, int pending) {
    current->waits_at = site;
    auto& group = group_of(*current);
    int end = current->wgmma_commits - pending;
    do_groups(group, *current->block, end);
    std::erase_if(group.products, [&](const Product& p) { return p.group < end; });
    int t = current->id % 128;
    for (auto& s : group.sums)
        if (s->flying && !s->landed[t] && s->last_group < end) land(*s, t);
}

namespace {

// The oldest product of a warpgroup that is committed and not done.
const Product* committed(size_t number) {
    auto& first = threads[blocks[number / groups_a_block()].first + 128 * (number % groups_a_block())];
    for (auto& product : groups[number].products)
        if (!product.done) return product.group < first.wgmma_commits ? &product : nullptr;
    return nullptr;
}

}

size_t products_under_way() {
    size_t count = 0;
    for (size_t g = 0; g < groups.size(); ++g) count += committed(g) != nullptr;
    return count;
}

void do_product() {
    auto skip = random_schedule() ? random_bits() % products_under_way() : 0;
    for (size_t g = 0; g < groups.size(); ++g) {
        auto next = committed(g);
        if (!next || skip-- > 0) continue;
        do_groups(groups[g], blocks[g / groups_a_block()], next->group + 1);
        return;
    }
}

Site product_reading(const void* p, size_t bytes) {
    if (groups.empty()) return {};
    auto& block = *shared_owner(p);
    int64_t from = static_cast<const unsigned char*>(p) - block.shared, to = from + int64_t(bytes);
    for (int g = 0; g < groups_a_block(); ++g)
        for (auto& product : groups[block.rank * groups_a_block() + g].products) {
            auto overlaps = [&](int64_t begin, int64_t end) { return begin < to && from < end; };
            if (any_range(product.a, overlaps) || any_range(product.b, overlaps)) return product.site;
        }
    return {};
}

void wgmma_never_waited() {
    for (auto& s : group_of(*current).sums)
        if (s->flying && !s->landed[current->id % 128])
            fail("wgmma was never waited for: its sums may not be complete when they are read");
    abort();
}

bool sums_on_their_way(const void* p) {
    int t = current->id % 128;
    for (auto& s : group_of(*current).sums)
        if (s->flying && !s->landed[t] && p >= s->registers[t] && p < s->registers[t] + s->columns / 2) return true;
    return false;
}

void reset_products() {
    if (!groups.empty()) groups.clear();
}

}
