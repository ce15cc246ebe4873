"""Computes the results of probes with numpy from their definitions. ProbePythonTests.cs calls it:

    probes.py ranks FOLDER       codes.npy [rows, n], answers.npy [rows, questions] (-1: unlabelled), properties.npy
                                 [p, 2] of question and class -> auroc.npy, f1.npy, difference.npy [n, p]
    probes.py logistic FOLDER    x.npy [rows, k], y.npy [rows], l2.npy -> weights.npy [k + 1], the bias last
"""
import sys
from pathlib import Path

import numpy as np


def ranks(values):
    """Returns ranks from 1 for the smallest; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def best_f1(values, truth):
    order = np.argsort(-values, kind="stable")
    values, truth = values[order], truth[order]
    hits, predicted = np.cumsum(truth), np.arange(1, len(truth) + 1)
    ends = np.append(values[1:] != values[:-1], True) & (values > 0)
    return (2 * hits / (predicted + truth.sum()))[ends].max(initial=0)


def rank_folder(folder):
    codes, answers, properties = (np.load(folder / f"{name}.npy") for name in ("codes", "answers", "properties"))
    shape = (codes.shape[1], len(properties))
    auroc, f1, difference = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape)
    for latent in range(shape[0]):
        for question in range(answers.shape[1]):
            labelled = answers[:, question] >= 0
            values = codes[labelled, latent].astype(np.float64)
            rank, spread = ranks(values), values.std()
            for p in np.flatnonzero(properties[:, 0] == question):
                truth = answers[labelled, question] == properties[p, 1]
                positives = truth.sum()
                if 0 < positives < len(truth):
                    pairs = positives * (len(truth) - positives)
                    auroc[latent, p] = (rank[truth].sum() - positives * (positives + 1) / 2) / pairs
                    difference[latent, p] = (values[truth].mean() - values[~truth].mean()) / spread if spread > 0 else 0
                f1[latent, p] = best_f1(values, truth)
    for name, values in (("auroc", auroc), ("f1", f1), ("difference", difference)):
        np.save(folder / f"{name}.npy", values)


def logistic_folder(folder):
    x, y = (np.load(folder / name).astype(np.float64) for name in ("x.npy", "y.npy"))
    l2 = float(np.load(folder / "l2.npy")[0])
    x = np.hstack([(x - x.mean(0)) / x.std(0), np.ones((len(x), 1))])
    penalty = np.diag([l2] * (x.shape[1] - 1) + [0])
    w = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (p - y) / len(y) + penalty @ w
        if np.abs(gradient).max() < 1e-13:
            break
        step = np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]) / len(y) + penalty, gradient)
        def loss(v):
            return np.logaddexp(0, np.where(y > 0, -1, 1) * (x @ v)).mean() + v @ penalty @ v / 2
        t = 1.0
        while t > 1e-6 and loss(w - t * step) > loss(w):
            t /= 2
        w = w - t * step
    assert np.abs(gradient).max() < 1e-10
    np.save(folder / "weights.npy", w)


{"ranks": rank_folder, "logistic": logistic_folder}[sys.argv[1]](Path(sys.argv[2]))
