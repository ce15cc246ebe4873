"""Compares CudaSae's exports with the computation of each project's published code, restated here, and writes SAEs in
each layout. FormatPythonTests.cs calls it:

    formats.py check FOLDER    reads FOLDER/CASE/case.json {"format", "path", "rows", "codes", "outputs"} beside the
                               file or folder that CudaSae wrote
    formats.py write FOLDER    writes FOLDER/CASE and FOLDER/CASE.json {"format", "selection", "k", "centres", "WEnc",
                               "WDec", "BEnc", ...}

Files are read without any of these projects: safetensors by hand, .pt by torch.load, .npz by numpy.
"""
import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch

from format_layouts import write


def safetensors(path):
    """Reads strictly: header in the file's bounds, no gaps or overlaps, sizes that fit the shapes, sorted names, header
    padded to 8 bytes."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    assert length % 8 == 0 and 8 + length <= len(raw)
    header = json.loads(raw[8:8 + length])
    header.pop("__metadata__", None)
    assert list(header) == sorted(header)
    tensors, end = {}, 0
    for name, entry in header.items():
        assert set(entry) == {"dtype", "shape", "data_offsets"} and entry["dtype"] == "F32"
        start, stop = entry["data_offsets"]
        assert start == end and stop - start == 4 * int(np.prod(entry["shape"]))
        tensors[name] = np.frombuffer(raw, "<f4", (stop - start) // 4, 8 + length + start).reshape(entry["shape"])
        end = stop
    assert 8 + length + end == len(raw)
    return tensors


def doubles(tensors):
    return {k: np.asarray(v, dtype=np.float64) if np.asarray(v).dtype.kind == "f" else np.asarray(v)
            for k, v in tensors.items()}


def relu(z):
    return np.maximum(z, 0)


def largest(z, k):
    kept = np.zeros_like(z)
    np.put_along_axis(kept, np.argsort(-z, axis=1)[:, :k], 1, axis=1)
    return z * kept


# Each function returns the codes and outputs of rows x.

def saelens(path, x):
    cfg, t = json.loads((path / "cfg.json").read_text()), doubles(safetensors(path / "sae_weights.safetensors"))
    assert int(cfg["metadata"]["sae_lens_version"].split(".")[0]) >= 6 and cfg["reshape_activations"] == "none"
    assert t["W_enc"].shape == (cfg["d_in"], cfg["d_sae"]) and cfg["dtype"] == "float32"
    architecture, shift, scale, divisor = cfg["architecture"], 0, 1, 1
    if cfg["normalize_activations"] == "layer_norm":
        shift, scale = x.mean(1, keepdims=True), x.std(1, ddof=1, keepdims=True)
        divisor = scale + 1e-5
    elif cfg["normalize_activations"] == "constant_norm_rescale":
        scale = divisor = np.linalg.norm(x, axis=1, keepdims=True) / cfg["d_in"] ** 0.5
    sae_in = (x - shift) / divisor
    if "transcoder" in architecture:
        assert not cfg["apply_b_dec_to_input"] and t["W_dec"].shape[1] == cfg["d_out"]
    elif cfg["apply_b_dec_to_input"]:
        sae_in = sae_in - t["b_dec"]
    if architecture == "gated":
        gate, magnitude = sae_in @ t["W_enc"] + t["b_gate"], sae_in @ (t["W_enc"] * np.exp(t["r_mag"])) + t["b_mag"]
        acts = (gate > 0) * relu(magnitude)
    else:
        pre = sae_in @ t["W_enc"] + t["b_enc"]
        if architecture == "topk":
            assert not cfg["rescale_acts_by_decoder_norm"]
            acts = relu(largest(pre, cfg["k"]))
        elif architecture.startswith("jumprelu"):
            acts = relu(pre) * (pre > relu(t["threshold"]))
        else:
            assert architecture in ("standard", "transcoder", "skip_transcoder")
            acts = relu(pre)
    out = (acts @ t["W_dec"] + t["b_dec"]) * scale + shift
    return acts, out + x @ t["W_skip"].T if "skip" in architecture else out


def sparsify(path, x):
    cfg, t = json.loads((path / "cfg.json").read_text()), doubles(safetensors(path / "sae.safetensors"))
    assert t["encoder.weight"].shape == (cfg["num_latents"], cfg["d_in"]) and isinstance(cfg["expansion_factor"], int)
    pre = relu((x if cfg["transcode"] else x - t["b_dec"]) @ t["encoder.weight"].T + t["encoder.bias"])
    if cfg["activation"] == "topk":
        acts = largest(pre, cfg["k"])
    else:
        groups = pre.reshape(len(x), cfg["k"], -1)
        acts = (groups * (groups == groups.max(2, keepdims=True))).reshape(pre.shape)
    out = acts @ t["W_dec"] + t["b_dec"]
    return acts, out + x @ t["W_skip"].T if cfg["skip_connection"] else out


def gemma_scope(path, x):
    t = doubles(np.load(path / "params.npz"))
    assert set(t) == {"W_enc", "W_dec", "b_enc", "b_dec", "threshold"}
    pre = x @ t["W_enc"] + t["b_enc"]
    acts = (pre > t["threshold"]) * relu(pre)
    return acts, acts @ t["W_dec"] + t["b_dec"]


def gemma_scope_2(path, x):
    cfg, t = json.loads((path / "config.json").read_text()), doubles(safetensors(path / "params.safetensors"))
    assert cfg["architecture"] == "jump_relu" and cfg["width"] == len(t["threshold"])
    pre = x @ t["w_enc"] + t["b_enc"]
    acts = (pre > t["threshold"]) * relu(pre)
    out = acts @ t["w_dec"] + t["b_dec"]
    return acts, out + x @ t["affine_skip_connection"] if cfg["affine_connection"] else out


def openmoss(path, x):
    cfg, t = json.loads((path / "config.json").read_text()), doubles(safetensors(path / "sae_weights.safetensors"))
    assert int(cfg["d_model"] * cfg["expansion_factor"]) == t["W_E"].shape[1]
    assert not cfg["sparsity_include_decoder_norm"]
    assert f"dataset_average_activation_norm.{cfg['hook_point_in']}" in t
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    scale = cfg["d_model"] ** 0.5 / norm if cfg["norm_activation"] == "token-wise" else 1
    pre = (x * scale) @ t["W_E"] + t["b_E"]
    if cfg["act_fn"] == "jumprelu":
        acts = pre * (pre > np.exp(t["activation_function.log_jumprelu_threshold"]))
    else:
        acts = relu(pre) if cfg["act_fn"] == "relu" else largest(relu(pre), cfg["top_k"])
    return acts, (acts @ t["W_D"] + t["b_D"]) / scale


def dictionary_learning(path, x):
    trainer = json.loads((path / "config.json").read_text())["trainer"]
    state = torch.load(path / "ae.pt")
    t, kind = doubles(state), trainer["dict_class"]
    if kind in ("JumpReluAutoEncoder", "MatryoshkaBatchTopKSAE"):
        centre = t["b_dec"] if kind[0] == "M" else 0
        pre = (x - centre) @ t["W_enc"] + t["b_enc"]
        if kind[0] == "M":
            assert state["group_sizes"].dtype == torch.int64 and state["k"].item() == trainer["k"]
            assert state["group_sizes"].sum() == trainer["dict_size"]
        return relu(pre * (pre > t["threshold"])), relu(pre * (pre > t["threshold"])) @ t["W_dec"] + t["b_dec"]
    bias = t[{"AutoEncoder": "bias", "AutoEncoderNew": "decoder.bias", "GatedAutoEncoder": "decoder_bias"}.get(
        kind, "b_dec")]
    product = (x if kind == "AutoEncoderNew" else x - bias) @ t["encoder.weight"].T
    if kind == "GatedAutoEncoder":
        acts = (product + t["gate_bias"] > 0) * relu(np.exp(t["r_mag"]) * product + t["mag_bias"])
    else:
        acts = relu(product + t["encoder.bias"])
        if kind == "AutoEncoderTopK":
            assert state["k"].dtype == torch.int32 and state["k"].item() == trainer["k"]
            acts = largest(acts, trainer["k"])
        elif kind == "BatchTopKSAE":
            acts = acts * (acts > t["threshold"])
    return acts, acts @ t["decoder.weight"].T + bias


def openai(path, x):
    state = torch.load(path)
    activation, inner = state.pop("activation"), state.pop("activation_state_dict")
    assert activation in ("TopK", "ReLU") and state["stats_last_nonzero"].dtype == torch.int64
    t, shift, std, divisor = doubles(state), 0, 1, 1
    if activation == "TopK":
        assert inner == {"k": inner["k"], "postact_fn": "ReLU"} and type(inner["k"]) is int
        shift, std = x.mean(1, keepdims=True), x.std(1, ddof=1, keepdims=True)
        divisor = std + 1e-5
    pre = ((x - shift) / divisor - t["pre_bias"]) @ t["encoder.weight"].T + t["latent_bias"]
    acts = relu(largest(pre, inner["k"])) if activation == "TopK" else relu(pre)
    return acts, (acts @ t["decoder.weight"].T + t["pre_bias"]) * std + shift


def check(folder):
    forwards = {f.__name__: f for f in (saelens, sparsify, gemma_scope, gemma_scope_2, openmoss, dictionary_learning,
        openai)}
    cases = sorted(folder.glob("*/case.json"))
    for case in cases:
        said = json.loads(case.read_text())
        codes, outputs = forwards[said["format"].replace("-", "_")](case.parent / said["path"], np.array(said["rows"]))
        for name, ours, theirs in (("codes", said["codes"], codes), ("outputs", said["outputs"], outputs)):
            difference = np.abs(np.array(ours) - theirs).max()
            assert difference < said["tolerance"], f"{case.parent.name}: {name} differ by {difference}"
        assert (codes != 0).any()
    print(len(cases))


if __name__ == "__main__":
    {"check": check, "write": write}[sys.argv[1]](Path(sys.argv[2]))
