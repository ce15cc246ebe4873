"""Computes the numbers of latents by numpy, for LatentPageTests.cs.   latents.py CODES ENCODER DECODER

The arguments are .npy files [rows, n], [n, d], [n, d]. It prints JSON."""
import json
import sys

import numpy as np

codes, encoder, decoder = (np.load(path).astype(np.float64) for path in sys.argv[1:])
fired = (codes != 0).astype(np.float64)
count = fired.sum(0)
joint = fired.T @ fired
either = count[:, None] + count[None] - joint
norms = np.linalg.norm(decoder, axis=1)
print(json.dumps({
    "count": count.tolist(),
    "max": np.abs(codes).max(0).tolist(),
    "mean": (codes.sum(0) / np.maximum(count, 1)).tolist(),
    "norm": norms.tolist(),
    "cosine": ((encoder * decoder).sum(1) / norms / np.linalg.norm(encoder, axis=1)).tolist(),
    "joint": joint.tolist(),
    "jaccard": (joint / np.maximum(either, 1)).tolist(),
    "cosines": (decoder @ decoder.T / norms[:, None] / norms[None]).tolist(),
}))
