"""Where a rare cluster's direction lies among the principal components of the data: how weakly the inputs vary along it.

    python3 components.py DATA.npy FEWER RUN…       runs in SAELens' layout; a latent that fires on fewer than FEWER of the rows is of the cluster
"""
import json
import sys
from pathlib import Path

import numpy as np


def weights(path):
    data = Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    return {name: np.frombuffer(data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]], np.float32).reshape(t["shape"])
            for name, t in json.loads(data[8:8 + size]).items() if name != "__metadata__"}


rows, fewer = np.load(sys.argv[1], mmap_mode="r"), int(sys.argv[2])
sample = np.asarray(rows[::max(1, len(rows) // 20480)], np.float64)
mean = sample.mean(0)
_, components = np.linalg.eigh(np.cov((sample - mean).T))        # ascending variance
for run in sys.argv[3:]:
    w = weights(Path(run) / "sae_weights.safetensors")
    before = json.loads((Path(run) / "cfg.json").read_text()).get("apply_b_dec_to_input", True)
    encoder, shift = w["W_enc"].T, w["b_dec"] if before else np.zeros_like(w["b_dec"])
    firings = sum(((np.asarray(rows[i:i + 8192], np.float32) - shift) @ encoder.T + w["b_enc"] > 0).sum(0) for i in range(0, len(rows), 8192))
    rare = firings < fewer
    if not rare.any():
        print(f"{run}: no latent fires on fewer than {fewer} rows")
        continue
    m = (encoder[rare] / np.linalg.norm(encoder[rare], axis=1, keepdims=True)).mean(0)
    m /= np.linalg.norm(m)
    share = np.cumsum((components.T @ m) ** 2)
    read = mean - shift
    print(f"{run}: {rare.sum()} latents; of m² {share[len(m) // 4 - 1]:.2f} in the quarter of the components with the least variance, {share[len(m) // 2 - 1]:.2f} in the half; "
          f"cosine with the mean of what the encoder reads {m @ read / np.linalg.norm(read):.3f}")
