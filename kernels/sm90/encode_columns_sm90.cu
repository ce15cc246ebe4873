// encode_columns_sm90: `encode_columns` (encode_columns.cu) on Hopper's asynchronous tensor cores. z is the sum plus
// the bias, added in that order, as in encode_columns and on the dense path. The emulator adds products in the order of
// K in every instruction, so there all three have the same bits. On a device each of the three is deterministic, but
// wgmma and mma.sync promise no common order inside one instruction. A latent whose z lies within rounding of its
// threshold may then fire on one path and not on another.
#include "hopper_filter.cuh"

// Finds which z of a group of 16 columns, in both rows, exceed their columns' thresholds. Rounding is monotone, so the
// larger sum of a column decides for both rows.
__device__ __forceinline__ void columns_compare(const HopperSums& sums, const float* bias, const float* floor,
                                                HopperReached& reached) {
#pragma unroll
    for (int group = 0; group < 4; ++group) {
        bool any = false;
#pragma unroll
        for (int i = 0; i < 16; i += 2) {
            const int column = hopper_group_column(group, i);
            const float2 b = *reinterpret_cast<const float2*>(bias + column);
            const float2 l = *reinterpret_cast<const float2*>(floor + column);
            any |= fmaxf(sums[hopper_index(group, 0, i)], sums[hopper_index(group, 1, i)]) + b.x > l.x;
            any |= fmaxf(sums[hopper_index(group, 0, i + 1)], sums[hopper_index(group, 1, i + 1)]) + b.y > l.y;
        }
        if (!any) continue;
#pragma unroll
        for (int row_half = 0; row_half < 2; ++row_half) {
            uint32_t bits = 0;
#pragma unroll
            for (int i = 0; i < 16; ++i) {
                const int column = hopper_group_column(group, i);
                bits |= uint32_t(sums[hopper_index(group, row_half, i)] + bias[column] > floor[column]) << i;
            }
            reached.row[row_half] |= uint64_t(bits) << 16 * group;
        }
    }
}

__device__ __forceinline__ void columns_consume(HopperShared& s, const HopperWork& w, const EncodeColumnsParams& e) {
    float* slot = s.slots[threadIdx.x - 128];
    PipelineState<HOPPER_STAGES> state;
    PipelineState<2> column_state;
    hopper_for_each_tile(w, [&](int row_begin, int begin) {
        HopperSums sums;
#pragma unroll
        for (int i = 0; i < 128; ++i) sums[i] = 0;
        hopper_multiply(s, w, state, sums);
        mbarrier_wait(&s.column_full_barriers[column_state.stage_idx], column_state.phase);
        const float* bias = s.bias[column_state.stage_idx];
        HopperReached reached;
        columns_compare(sums, bias, s.floor[column_state.stage_idx], reached);
#pragma unroll
        for (int row_half = 0; row_half < 2; ++row_half)
            if (row_begin + hopper_row(row_half) >= e.rows) reached.row[row_half] = 0;
        if (__any_sync(0xffffffffu, (reached.row[0] | reached.row[1]) != 0)) {
            HopperPositions positions = hopper_reserve(reached, e.count, row_begin, [](int, int, int) {});
            hopper_emit(sums, reached, slot, [&](int row_half, int column, float sum) {
                const int64_t row = row_begin + hopper_row(row_half);
                const int position = positions.next[row_half]++;
                if (position < e.capacity)
                    e.candidates[row * e.capacity + position] =
                        uint64_t(begin + column) << 32 | __float_as_uint(sum + bias[column]);
            });
        }
        mbarrier_arrive(&s.column_empty_barriers[column_state.stage_idx]);
        column_state.advance();
    });
}

// encode_columns_sm90
//   in      x_centered and w_enc as tensor maps, b_enc, latents [n]
//   out     candidates [B, capacity], count [B] (zeroed before)
//   launch  as encode_sm90
//   needs   ld % 64 == 0, padding of both operands zero
//   cost    2 B n ld flops; bound by the tensor cores
//   order   candidates of a row come in any order; the set, and each z, are those of encode_columns up to the rounding
//           of the sums, and have the same bits on the emulator
SAE_KERNEL(encode_columns_sm90, EncodeColumnsSm90Params, HOPPER_THREADS) {
    auto& s = shared_memory<HopperShared>();
    const EncodeColumnsParams& e = p.columns;
    const HopperWork work{e.rows, 0, e.columns, e.ld / HOPPER_BLOCK_K, p.cluster, p.skew, nullptr};
    hopper_init_barriers(s, p.cluster);
    if (threadIdx.x < 128) {
        registers_shrink<40>();
        if (threadIdx.x == 0) hopper_load(s, work, &p.x_map, &p.w_map, HOPPER_BLOCK_K);
        else if (threadIdx.x / 32 == 1) hopper_produce_columns(s, work, [&](int column, float& bias, float& floor) {
            bias = column < e.columns ? e.b_enc[column] : 0;
            floor = column < e.columns ? e.latents[column].floor : __int_as_float(0x7f800000);
        });
    } else {
        registers_grow<232>();
        columns_consume(s, work, e);
    }
    hopper_finish(p.cluster);
}
