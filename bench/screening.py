#!/usr/bin/env python3
"""8-bit screening (kernels/screen.cu), simulated on the CPU with the kernels' formulas: how many columns of a row are
computed exactly, and how many would be missed with less margin.

    cudasae train --latents 16384 --vectors 200000 --out runs/screening
    python3 bench/screening.py --sae runs/screening/sae_weights.safetensors data/use_lite_resid_post0_held_out.npy
    python3 bench/screening.py --synthetic 4096

The program simulates the selection and does not measure speed. The columns are divided as in ScreenPhase: a sixteenth
is exact, then chunks double. A row's limit before a chunk is the k-th largest value of all columns before it.
    true      columns above the limit
    kept      columns that the bound cannot rule out
    missed    columns above the limit that the bound ruled out
"""
import argparse, json, math, struct
import numpy as np

STEP = (1 + 2.0 ** -20) / 127
DELTA = 1e-9


def safetensors(path):
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header, body = json.loads(f.read(size)), f.read()
    return {name: np.frombuffer(body[slice(*t["data_offsets"])], "<f4").reshape(t["shape"])
            for name, t in header.items() if name != "__metadata__" and t["dtype"] == "F32"}


def bf16(a):
    """Rounds to the nearest bfloat16, ties up."""
    return ((np.ascontiguousarray(a, np.float32).view(np.uint32) + 0x8000) & 0xffff0000).view(np.float32)


def quantize(a, random):
    """Returns 8-bit numbers with dither, one step for each row, and the norm of the row rounded away from zero."""
    step = np.abs(a).max(1, keepdims=True) * STEP
    t = a / np.where(step == 0, 1, step)
    down = np.floor(t)
    q = down + (t - down > random.random(t.shape, np.float32))
    return q.astype(np.float32), step[:, 0], step[:, 0] * np.sqrt((np.ceil(np.abs(t)).astype(np.float64) ** 2).sum(1))


def scales(x, w):
    """Computes screen_scales of quantize.cu."""
    ratio = (x.astype(np.float64) ** 2).mean(0) / (w[:: max(1, len(w) // 1024)].astype(np.float64) ** 2).mean(0)
    return np.clip(ratio ** 0.25, 2.0 ** -16, 2.0 ** 16).astype(np.float32)


def simulate(name, x, w, b, k, random, factors=(1, 0.5, 0.25, 0)):
    x, w = bf16(x), bf16(w)
    (rows, d), n = x.shape, len(w)
    ld = (d + 63) // 64 * 64
    exact = x @ w.T + b
    sigma = np.linalg.norm(x, axis=1).mean() * np.linalg.norm(w, axis=1).mean() / math.sqrt(d)
    ends = [max(-(-n // 16 // 128) * 128, 1024)]
    while ends[-1] < n: ends.append(min(n, 2 * ends[-1]))
    limits = [np.partition(exact[:, :end], end - k, axis=1)[:, end - k] for end in ends[:-1]]
    found = []
    for scaled in (True, False):
        s = scales(x, w) if scaled else np.ones(d, np.float32)
        (qx, a, r), (qw, c, nw) = quantize(x / s, random), quantize(w * s, random)
        score = (qx @ qw.T).astype(np.float64) * a[:, None] * c + b
        h = math.sqrt(math.log(1 / DELTA) / 2) * (1 + 2.0 ** -18) + math.sqrt(2 * ld) * 2.0 ** -15
        rounding = (ld + 16) * 2.0 ** -23 * (r[:, None] * nw + np.abs(b))
        steps = r / a * 4 / (127 * math.sqrt(ld))
        g = np.sqrt(1 + steps ** 2)
        bound = 0.5 * h * ((a * (g + 1 / g))[:, None] * nw + (r * r / a / g)[:, None] * (c * c / nw)) + rounding
        error = exact - score
        line = dict(data=name, d=d, n=n, k=k, rows=rows, scales=scaled, error=error.std() / sigma,
            margin=bound.mean() / sigma, worst=(error / bound).max())
        for factor in factors:
            true = kept = missed = 0
            above = score + factor * bound
            for begin, end, limit in zip(ends, ends[1:], limits):
                hit, survives = exact[:, begin:end] > limit[:, None], above[:, begin:end] > limit[:, None]
                true, kept, missed = true + hit.sum(), kept + survives.sum(), missed + (hit & ~survives).sum()
            line[f"kept at {factor}"], line[f"missed at {factor}"] = kept / rows, int(missed)
            line["true"] = true / rows
        found.append(line)
    return found


def synthetic(d, rows, n, random, massive=0):
    """Makes heavy-tailed features on random directions, and dimensions of a different size."""
    w = random.standard_normal((n, d), np.float32) / math.sqrt(d)
    x = random.standard_t(5, (rows, d)).astype(np.float32)
    for row in range(rows):
        strength = np.abs(random.standard_t(3, 48)).astype(np.float32)[:, None]
        x[row] += (strength * w[random.choice(n, 48, False)] * 8).sum(0)
    x[:, :massive] *= 100
    return x, w, (0.01 * random.standard_normal(n)).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--sae")
    parser.add_argument("--synthetic", type=int)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--latents", type=int, default=32768)
    parser.add_argument("--k", type=int, default=32)
    given = parser.parse_args()
    random, lines = np.random.default_rng(1), []
    if given.data:
        sae, x = safetensors(given.sae), np.load(given.data)[: given.rows].astype(np.float32)
        w = np.ascontiguousarray(sae["W_enc"].T)
        lines += simulate("sentence encoder, trained SAE", x - sae["b_dec"], w, sae["b_enc"], given.k, random)
    if given.synthetic:
        for massive in (0, 4):
            name = f"synthetic, {massive} massive dimensions"
            lines += simulate(name, *synthetic(given.synthetic, given.rows, given.latents, random, massive), given.k,
                random)
    print("| data | d, n, k | scales | error, σ | margin, σ | largest error / margin | true | kept | kept / true "
          "| missed at margin × 1, ½, ¼, 0 |\n|---|---|---|---|---|---|---|---|---|---|")
    for l in lines:
        print(f"| {l['data']} | {l['d']}, {l['n']}, {l['k']} | {'yes' if l['scales'] else 'no'} | {l['error']:.4f} "
              f"| {l['margin']:.3f} | {l['worst']:.2f} | {l['true']:.0f} | {l['kept at 1']:.0f} "
              f"| {l['kept at 1'] / l['true']:.2f} "
              f"| {', '.join(str(l[f'missed at {f}']) for f in (1, 0.5, 0.25, 0))} |")


main()
