"""The sparse trainer's Triton kernels, written from the published algorithms (OpenAI's and sparsify's descriptions of
sparse decode, sampled products and gradients over latent-sorted entries), without copied code. They use no float
atomics: every sum has one owner and a fixed order.

These kernels have not run on a GPU or under Triton yet. check_peers.py runs their source on a stand-in for
triton.language and compares them with autograd.
"""
import triton
import triton.language as tl


@triton.jit
def decode_rows(index, value, w_dec, b_dec, x, residual, row_error, width, K: tl.constexpr, BLOCK: tl.constexpr):
    """Program b: residual[b] = sum_j value[b, j] W_dec[index[b, j]] + b_dec - x[b], stored in the operand's type, and
    |residual[b]|^2. BLOCK: width, rounded up to a power of two."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    mask = column < width
    total = tl.load(b_dec + column, mask=mask, other=0.0) - tl.load(x + row * width + column, mask=mask, other=0.0)
    for j in tl.static_range(K):
        latent = tl.load(index + row * K + j).to(tl.int64)
        total += tl.load(value + row * K + j) * tl.load(w_dec + latent * width + column, mask=mask,
            other=0.0).to(tl.float32)
    tl.store(residual + row * width + column, total.to(residual.dtype.element_ty), mask=mask)
    tl.store(row_error + row, tl.sum(total * total))


@triton.jit
def value_gradients(index, value, w_dec, residual, gradient, width, scale, K: tl.constexpr, BLOCK: tl.constexpr):
    """Program b: gradient[b, j] = scale <residual[b], W_dec[index[b, j]]> where value[b, j] > 0, else 0: the sampled
    product."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    mask = column < width
    r = tl.load(residual + row * width + column, mask=mask, other=0.0).to(tl.float32)
    for j in tl.static_range(K):
        latent = tl.load(index + row * K + j).to(tl.int64)
        dot = tl.sum(r * tl.load(w_dec + latent * width + column, mask=mask, other=0.0).to(tl.float32))
        tl.store(gradient + row * K + j, tl.where(tl.load(value + row * K + j) > 0, scale * dot, 0.0))


@triton.jit
def latent_gradients(offsets, order, value, gradient, residual, x_centered, w_enc_grad, w_dec_grad, b_enc_grad, width,
        scale, K: tl.constexpr, BLOCK: tl.constexpr):
    """Program (f, part): rows of both gradients from the entries of latent f, order[offsets[f] .. offsets[f + 1]), each
    the place b K + j of an entry; rows without entries get zeros."""
    latent = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = column < width
    enc = tl.zeros([BLOCK], dtype=tl.float32)
    dec = tl.zeros([BLOCK], dtype=tl.float32)
    bias = 0.0
    for at in range(tl.load(offsets + latent), tl.load(offsets + latent + 1)):
        entry = tl.load(order + at).to(tl.int64)
        row = entry // K
        g = tl.load(gradient + entry)
        dec += tl.load(value + entry) * tl.load(residual + row * width + column, mask=mask, other=0.0).to(tl.float32)
        enc += g * tl.load(x_centered + row * width + column, mask=mask, other=0.0).to(tl.float32)
        bias += g
    tl.store(w_dec_grad + latent * width + column, scale * dec, mask=mask)
    tl.store(w_enc_grad + latent * width + column, enc, mask=mask)
    if tl.program_id(1) == 0:
        tl.store(b_enc_grad + latent, bias)


@triton.jit
def project_rows(gradient, rows, width, BLOCK: tl.constexpr):
    """Program f: removes the part of gradient[f] along the unit row rows[f]."""
    at = tl.program_id(0).to(tl.int64) * width + tl.arange(0, BLOCK)
    mask = tl.arange(0, BLOCK) < width
    g = tl.load(gradient + at, mask=mask, other=0.0)
    w = tl.load(rows + at, mask=mask, other=0.0)
    tl.store(gradient + at, g - tl.sum(g * w) * w, mask=mask)


@triton.jit
def renormalise_rows(rows, shadow, width, BLOCK: tl.constexpr):
    """Program f: rows[f] /= |rows[f]|, and the copy of the row in the operand's type."""
    at = tl.program_id(0).to(tl.int64) * width + tl.arange(0, BLOCK)
    mask = tl.arange(0, BLOCK) < width
    w = tl.load(rows + at, mask=mask, other=0.0)
    w = w / tl.sqrt(tl.sum(w * w))
    tl.store(rows + at, w, mask=mask)
    tl.store(shadow + at, w.to(shadow.dtype.element_ty), mask=mask)
