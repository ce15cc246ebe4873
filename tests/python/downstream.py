"""Splices SAEs into a network in float64 numpy, and computes the metrics that the engine's eval --model must give.

downstream.py MODEL IDS.npy SAE_FOLDER SITE [exclude-bos]      prints JSON of the metrics by name
"""
import json
import struct
import sys

import numpy as np

import llama2


def tensors(path):
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[8 + length:][slice(*t["data_offsets"])], "<f4").reshape(t["shape"])
                  .astype(np.float64) for name, t in header.items()}


class Sae:
    """SAELens' layout: W_enc [d, n], W_dec [n, d]; topk or jumprelu."""

    def __init__(self, folder):
        self.config, self.w = json.load(open(folder + "/cfg.json")), tensors(folder + "/sae_weights.safetensors")

    def encode(self, x):
        if self.config.get("apply_b_dec_to_input"):
            x = x - self.w["b_dec"]
        z = x @ self.w["W_enc"] + self.w["b_enc"]
        if self.config["architecture"] == "jumprelu":
            return np.where(z > self.w["threshold"], np.maximum(z, 0), 0)
        code = np.zeros_like(z)
        best = np.argsort(-z, axis=1, kind="stable")[:, :self.config["k"]]
        np.put_along_axis(code, best, np.maximum(np.take_along_axis(z, best, 1), 0), 1)
        return code

    def decode(self, code):
        return code @ self.w["W_dec"] + self.w["b_dec"]


def reconstruction(x, f, xhat):
    error, spread = ((xhat - x) ** 2).sum(1), ((x - x.mean(0)) ** 2).sum(1)
    norm, length = np.linalg.norm(x, axis=1), np.linalg.norm(xhat, axis=1)
    density = (f != 0).mean(0)
    return {
        "explained_variance": 1 - error.sum() / spread.sum(), "explained_variance_legacy": (1 - error / spread).mean(),
        "mse": error.mean(), "cossim": ((x * xhat).sum(1) / norm / length).mean(),
        "l2_norm_in": norm.mean(), "l2_norm_out": length.mean(), "l2_ratio": (length / norm).mean(),
        "relative_reconstruction_bias": (length ** 2).sum() / (x * xhat).sum(),
        "l0": (f != 0).sum(1).mean(), "l1": np.abs(f).sum(1).mean(), "frac_alive": (density > 0).mean(),
        "freq_over_1_percent": (density > 0.01).mean(), "freq_over_10_percent": (density > 0.1).mean(),
        "normalized_freq_over_1_percent": density[density > 0.01].sum() / density.sum(),
        "normalized_freq_over_10_percent": density[density > 0.1].sum() / density.sum(),
        "total_tokens_eval_sparsity_variance": len(x),
    }


def splice(site, put):
    return lambda name, x: put(x) if name == site else x


def main(model_path, ids_path, folder, site, exclude):
    model, sae, sequences = llama2.Model(model_path), Sae(folder), np.load(ids_path).astype(int)
    kept = [ids != llama2.BOS if exclude else np.ones(len(ids), bool) for ids in sequences]
    rows = []
    for ids, keep in zip(sequences, kept):
        model.run(ids, splice(site, lambda x: rows.append(x[keep]) or x))
    x = np.concatenate(rows)
    f = sae.encode(x)
    mean, metrics = x.mean(0), reconstruction(x, f, sae.decode(f))
    loss, kl = {}, {}
    for name, put in (("without", lambda x, _: x),
                      ("sae", lambda x, keep: np.where(keep[:, None], sae.decode(sae.encode(x)), x)),
                      ("zero", lambda x, _: x * 0), ("mean", lambda x, _: x * 0 + mean)):
        losses, divergences = [], []
        for ids, keep in zip(sequences, kept):
            p = llama2.log_softmax(model.run(ids))
            q = llama2.log_softmax(model.run(ids, splice(site, lambda x: put(x, keep))))
            losses.append(-q[np.arange(len(ids) - 1), ids[1:]][keep[:-1]])
            divergences.append((np.exp(p) * (p - q)).sum(1)[keep])
        loss[name], kl[name] = np.concatenate(losses).mean(), np.concatenate(divergences).mean()
    metrics.update({
        "ce_loss_without_sae": loss["without"], "ce_loss_with_sae": loss["sae"], "ce_loss_with_ablation": loss["zero"],
        "ce_loss_with_mean_ablation": loss["mean"],
        "ce_loss_score": (loss["zero"] - loss["sae"]) / (loss["zero"] - loss["without"]),
        "ce_loss_score_mean_ablation": (loss["mean"] - loss["sae"]) / (loss["mean"] - loss["without"]),
        "kl_div_with_sae": kl["sae"], "kl_div_with_ablation": kl["zero"],
        "kl_div_score": (kl["zero"] - kl["sae"]) / kl["zero"],
        "total_tokens_eval_reconstruction": int(sum(k[:-1].sum() for k in kept)),
    })
    print(json.dumps({name: float(value) for name, value in metrics.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:5], "exclude-bos" in sys.argv[5:])
