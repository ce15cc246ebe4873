"""Computes the numbers of CudaSae's diagnostics from saved weights, rows and codes. InsightTests.cs calls it:

    insight.py SAE_FOLDER ROWS.npy CODES.bin LATENT,LATENT,…

The codes are float64 [rows, n], and the latents are the cluster. It prints JSON.
"""
import json
import sys
from pathlib import Path

import numpy as np


def weights(path):
    data = Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    return {name: np.frombuffer(data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]],
        np.float32).reshape(t["shape"]).astype(np.float64)
            for name, t in header.items() if name != "__metadata__"}


w = weights(Path(sys.argv[1]) / "sae_weights.safetensors")
encoder, decoder = w["W_enc"].T, w["W_dec"]
x = np.load(sys.argv[2]).astype(np.float64)
f = np.fromfile(sys.argv[3]).reshape(len(x), -1)
inside = np.array([int(i) for i in sys.argv[4].split(",")])
y = f @ decoder + w["b_dec"]
fired = f != 0
out = {}
with np.errstate(all="ignore"):
    out["density"] = fired.mean(0)
    out["mean"] = f.sum(0) / fired.sum(0)
    out["mean_square"] = (f ** 2).sum(0) / fired.sum(0)
    own = (f ** 2).sum(0) * (decoder ** 2).sum(1)
    left = np.array([sum(f[r, i] * decoder[i] @ (x[r] - (y[r] - f[r, i] * decoder[i]))
        for r in np.flatnonzero(fired[:, i])) for i in range(f.shape[1])], float)
    out["gamma"] = np.where((own > 0) & (left > 0), own / left, np.nan)
    out["total"] = [(y ** 2).sum() / (y * x).sum(), fired.sum(1).mean()]
    out["high_fvu"] = [(((np.where(f > level * f.max(0), f, 0) @ decoder + w["b_dec"]) - x) ** 2).sum()
        / ((x - x.mean(0)) ** 2).sum() for level in np.arange(1, 10) / 10]
unit = lambda m: m / np.linalg.norm(m, axis=1, keepdims=True)
u, v = unit(encoder), unit(decoder)
out["projection"] = (u * v).sum(1)
for name, m in ("nearest_encoder", u), ("nearest_decoder", v):
    out[name] = np.max(m @ m.T - 3 * np.eye(len(m)), axis=1)
out["variance"] = x.var(0)
rest = np.setdiff1d(np.arange(len(u)), inside)
inner, outer = u[inside] @ u[inside].T, u[rest] @ u[rest].T
off = lambda c: c[~np.eye(len(c), dtype=bool)].mean()
values, vectors = np.linalg.eigh(u[inside].T @ u[inside])
out["cluster"] = [off(inner), off(outer), (u[inside] @ u[rest].T).mean(), values[-1] / values.sum()]
out["principal"] = np.abs(vectors[:, -1])
mean = u[inside].mean(0)
out["share"] = (u @ (mean / np.linalg.norm(mean))) ** 2
variances, components = np.linalg.eigh(np.cov(x.T, bias=True))
out["component_variances"] = variances
out["component_shares"] = (components.T @ (mean / np.linalg.norm(mean))) ** 2
print(json.dumps({k: [None if np.isnan(e) else float(e) for e in v] for k, v in out.items()}))
