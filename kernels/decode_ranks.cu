// decode on several ranks, in two halves. Between them the ranks add their sums in a stated order (shard.cu).
#include "decode.cuh"

// decode_part
//   in      code [B, k] of this rank's latents, w_dec [n, lo]
//   out     sums [levels, sum_rows, lo]: of the entries of levels <= m, value w_dec; gate_sums [sum_rows, lo] of Gated
//   launch  grid sum_rows, block 32 to 128, shared decode_shared_bytes(...)
//   needs   slice 64, 128 or 256; capacity >= k
//   cost    k lo 2 bytes a row, once, by 16-byte asynchronous copies; lo 4 bytes for each level
//   order   fixed: entries by group of lanes, groups by tree
SAE_KERNEL(decode_part, DecodeParams, 128) {
    const DecodeMemory memory = decode_memory(p);
    const DecodeLists& lists = memory.lists;
    const size_t row = blockIdx.x;
    const int live = list_entries(p, row, p.row_count ? p.row_count[row] : p.active, lists);
    const SliceLane lane(p.slice);
    each_slice(p, lane, lists, live, memory.weights, [&](int column, bool inside, const bf16_bits* w) {
        const size_t at = row * p.lo + column;
        const bool writes = inside && lane.group == 0;
        float sum[8] = {}, all[8];
        for (int m = 0; m < p.levels; ++m) {
            if (inside) add_slices(lane, w, lists.values, lists.level_start[m], lists.level_start[m + 1], sum);
            for (int i = 0; i < 8; ++i) all[i] = sum[i];
            sum_groups(lane, all);
            if (writes) store8(p.sums + size_t(m) * p.sum_rows * p.lo + at, all);
        }
        if (!p.gate) return;
        for (int i = 0; i < 8; ++i) all[i] = 0;
        if (inside) add_slices(lane, w, lists.gates, 0, live, all);
        sum_groups(lane, all);
        if (writes) store8(p.gate_sums + at, all);
    });
}

// decode_rest
//   in      as decode, with sums and gate_sums over all ranks
//   out     as decode; value_grad, gate_grad and row_active of this rank's entries
//   launch  as decode
//   cost    as decode, which it repeats but for the sums
//   order   as decode
SAE_KERNEL(decode_rest, DecodeParams, 128) { decode_row<true>(p); }
