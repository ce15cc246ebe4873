// decode: reconstructions, residuals, loss and the gradient of the code, from one gather of the selected decoder rows.
#include "decode.cuh"

// decode
//   in      code [B, k], w_dec [n, lo], b_dec, y [B, lo]
//   out     for each level l the sum of w_m e_m over m >= l, in bf16, where e_m = xhat_m - y and xhat_m holds the
//           entries of levels <= m; e of the reported level in f32; value_grad [B, k] = 2 loss_scale <that sum, w_dec>
//           where an entry has a gradient, else 0; the same of the gate's reconstruction; sums by row
//   launch  grid B, block 32 to 128, shared decode_shared_bytes(...)
//   needs   slice 64, 128 or 256; capacity >= k
//   cost    k lo 2 bytes a row, once, by 16-byte asynchronous copies: a slice of all k rows stays in shared memory for
//           all uses, because the residual at a column depends on that column alone; lo (4 + 4 + 2) bytes of y, e and
//           its bf16
//   order   fixed: entries by group of lanes, groups by tree, dots by slice, then by warp
SAE_KERNEL(decode, DecodeParams, 128) { decode_row<false>(p); }
