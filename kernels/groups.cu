// groups: the selection of GroupMax, from chunks of columns that encode kept whole.
#include "select.cuh"

// groups: the best column of each group that ends in [begin, end)
//   in      candidates [B, stride], column c at c - begin; best [B]: of the columns before `begin` of a group that
//           began earlier
//   out     index [B, k], value [B, k] of the groups that end here: the largest z, of equal ones the lower column;
//           below 0 and NaN give 0. best [B] of a group that continues
//   launch  grid B, block 128: a warp a group
//   needs   [begin, end): whole groups, or a part of one
//   order   none: keys are distinct
SAE_KERNEL(groups, GroupsParams, 128) {
    const int row = blockIdx.x, lane = threadIdx.x % 32;
    const uint64_t* candidates = p.candidates + int64_t(row) * p.stride;
    const int last = (p.end - 1) / p.size;
    for (int group = p.begin / p.size + threadIdx.x / 32; group <= last; group += 4) {
        const int first = group * p.size, next = first + p.size;
        uint64_t best = first < p.begin ? p.best[row] : 0;
        for (int c = max(first, p.begin) + lane; c < min(next, p.end); c += 32)
            best = max(best, candidates[c - p.begin]);
        for (int offset = 16; offset > 0; offset >>= 1)
            best = max(best, uint64_t(__shfl_xor_sync(0xffffffffu, (unsigned long long)best, offset)));
        if (lane != 0) continue;
        if (next > p.end) p.best[row] = best;
        else {
            const float z = candidate_value(best);
            p.index[int64_t(row) * p.active + group] = candidate_column(best);
            p.value[int64_t(row) * p.active + group] = z > 0 ? z : 0;
        }
    }
}
