"""Computes principal components by numpy, for ParetoTests.cs:

    pca.py TRAIN.npy HELD.npy OUT.json

OUT.json holds the eigenvalues and eigenvectors (rows) of TRAIN's covariance, descending, and HELD's fraction of
variance unexplained by the first k components, and by each row's k largest coordinates, for k from 0.
"""
import json
import sys

import numpy as np

train, held = (np.load(path).astype(np.float64) for path in sys.argv[1:3])
mean = train.mean(0)
values, vectors = np.linalg.eigh(np.cov(train.T, bias=True))
values, vectors = values[::-1], vectors.T[::-1]
centred = held - mean
squares = (centred @ vectors.T) ** 2
total = ((held - held.mean(0)) ** 2).sum()


def unexplained(kept):
    norm = (centred ** 2).sum()
    return [float((norm - kept[:, :k].sum()) / total) for k in range(kept.shape[1] + 1)]


json.dump({"values": values.tolist(), "vectors": vectors.tolist(), "components": unexplained(squares),
    "largest": unexplained(-np.sort(-squares, axis=1))}, open(sys.argv[3], "w"))
