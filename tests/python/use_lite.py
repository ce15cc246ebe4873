"""Universal Sentence Encoder Lite in float64 numpy, with a spliced SAE. It computes the metrics that the engine's
eval --model must give.

use_lite.py MODEL_FOLDER IDS.json SAE_FOLDER SITE      prints JSON of the metrics by name
"""
import json
import sys

import numpy as np

from downstream import Sae, reconstruction, splice


class Encoder:
    def __init__(self, folder):
        group = json.load(open(folder + "/model.json"))["weightsManifest"][0]
        data, at, self.w = b"".join(open(f"{folder}/{p}", "rb").read() for p in group["paths"]), 0, {}
        for t in group["weights"]:
            size = int(np.prod(t["shape"], dtype=int))
            if t["dtype"] == "float32":
                shape = [s for s in t["shape"] if s != 1]
                self.w[t["name"]] = np.frombuffer(data, "<f4", size, at).reshape(shape or [1]).astype(np.float64)
            at += 4 * size

    def __getitem__(self, ending):
        (tensor,) = [w for name, w in self.w.items() if name.endswith(ending)]
        return tensor

    def norm(self, x, name):
        mean, variance = x.mean(1, keepdims=True), x.var(1, keepdims=True)
        scale = self[name + "layer_norm_scale/ConcatPartitions/concat"]
        return (x - mean) / np.sqrt(variance + 1e-6) * scale + self[name + "layer_norm_bias/ConcatPartitions/concat"]

    def embed(self, ids, hook=lambda site, x: x):
        tokens, join = len(ids), "/ConcatPartitions/concat"
        angle = np.outer(np.arange(tokens), self["TimingSignal/ExpandDims_1"].ravel()[:128])
        x = 2 * self["Embeddings_en"][ids] + np.concatenate([np.sin(angle), np.cos(angle)], 1)
        for layer in range(2):
            at, stack = f"Encode/Layer_{layer}/TransformerLayer/", f"TransformerStack/Layer_{layer}/TransformerLayer/"
            width = x.shape[1]
            normed, to = self.norm(x, at + "layer_prepostprocess/layer_norm/"), at + "MultiheadAttention/"
            qkv = (normed @ self[to + "qkv_transform_single/kernel/part_0"]
                   + self[to + "qkv_transform_single/bias" + join])
            q, k, v = (a.reshape(tokens, 4, width // 4) for a in np.split(qkv, 3, 1))
            scores = np.einsum("thd,shd->hts", q * self[stack + "MultiheadAttention/mul/y"].ravel()[0], k)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = np.einsum("hts,shd->thd", scores / scores.sum(-1, keepdims=True), v).reshape(tokens, width)
            attended = (mixed @ self[to + "output_transform_single/kernel/part_0"]
                        + self[to + "output_transform_single/bias" + join])
            if layer == 0:
                x = x @ self["TransformerLayer/dense/kernel" + join] + self["TransformerLayer/dense/bias" + join]
            x = x + attended
            h = hook(f"mlp_in{layer}", self.norm(x, at + "FFN/layer_prepostprocess/layer_norm/"))
            h = np.maximum(h @ self[stack + "FFN/conv1/Tensordot/Reshape_1"] + self[at + "FFN/conv1/bias" + join], 0)
            h = hook(f"mlp_out{layer}", h @ self[stack + "FFN/conv2/Tensordot/Reshape_1"]
                + self[at + "FFN/conv2/bias" + join])
            x = hook(f"resid_post{layer}", x + h)
        e = np.tanh(x.mean(0) @ self["tanh_layer_0/weights"] + self["tanh_layer_0/bias"])
        return e / np.linalg.norm(e)


def main(folder, ids_path, sae_folder, site):
    model, sae, sequences, rows = Encoder(folder), Sae(sae_folder), json.load(open(ids_path)), []
    embeddings = [model.embed(ids, splice(site, lambda x: rows.append(x) or x)) for ids in sequences]
    x = np.concatenate(rows)
    f, mean = sae.encode(x), x.mean(0)
    metrics = reconstruction(x, f, sae.decode(f))

    def cosine(put):
        return np.mean([e @ model.embed(ids, splice(site, put)) for e, ids in zip(embeddings, sequences)])
    spliced, zero = cosine(lambda x: sae.decode(sae.encode(x))), cosine(np.zeros_like)
    average = cosine(lambda x: x * 0 + mean)
    metrics.update({
        "embedding_cosine_with_sae": spliced, "embedding_cosine_with_ablation": zero,
        "embedding_cosine_score": (spliced - zero) / (1 - zero),
        "embedding_cosine_with_mean_ablation": average,
        "embedding_cosine_score_mean_ablation": (spliced - average) / (1 - average), "total_sentences": len(sequences),
    })
    print(json.dumps({name: float(value) for name, value in metrics.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:5])
