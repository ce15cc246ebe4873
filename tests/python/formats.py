"""Holds CudaSae's exports against what each project's published code computes, restated here, and writes SAEs in each layout. Called by FormatPythonTests.cs:

    formats.py check FOLDER    FOLDER/CASE/case.json {"format", "path", "rows", "codes", "outputs"} beside the file or folder that CudaSae wrote
    formats.py write FOLDER    FOLDER/CASE and FOLDER/CASE.json {"format", "selection", "k", "centres", "WEnc", "WDec", "BEnc", ...}

Files are read without any of these projects: safetensors by hand, .pt by torch.load, .npz by numpy.
"""
import json
import struct
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

D, N, K = 5, 16, 3


def safetensors(path):
    """Strict: header in the file's bounds, no gaps or overlaps, sizes that fit the shapes, sorted names, header padded to 8 bytes."""
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


def write_safetensors(path, tensors, metadata=None):
    header, end = ({"__metadata__": metadata} if metadata else {}), 0
    for name in reversed(sorted(tensors)):      # any order is legal
        tensors[name] = np.ascontiguousarray(tensors[name], dtype="<f4")
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [end, end + tensors[name].nbytes]}
        end += tensors[name].nbytes
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensors[n].tobytes() for n in header if n != "__metadata__"))


def doubles(tensors):
    return {k: np.asarray(v, dtype=np.float64) if np.asarray(v).dtype.kind == "f" else np.asarray(v) for k, v in tensors.items()}


def relu(z):
    return np.maximum(z, 0)


def largest(z, k):
    kept = np.zeros_like(z)
    np.put_along_axis(kept, np.argsort(-z, axis=1)[:, :k], 1, axis=1)
    return z * kept


# Each returns the codes and outputs of rows x.

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
    assert int(cfg["d_model"] * cfg["expansion_factor"]) == t["W_E"].shape[1] and not cfg["sparsity_include_decoder_norm"]
    assert f"dataset_average_activation_norm.{cfg['hook_point_in']}" in t
    scale = cfg["d_model"] ** 0.5 / np.linalg.norm(x, axis=1, keepdims=True) if cfg["norm_activation"] == "token-wise" else 1
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
            assert state["group_sizes"].dtype == torch.int64 and state["group_sizes"].sum() == trainer["dict_size"] and state["k"].item() == trainer["k"]
        return relu(pre * (pre > t["threshold"])), relu(pre * (pre > t["threshold"])) @ t["W_dec"] + t["b_dec"]
    bias = t[{"AutoEncoder": "bias", "AutoEncoderNew": "decoder.bias", "GatedAutoEncoder": "decoder_bias"}.get(kind, "b_dec")]
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
    forwards = {f.__name__: f for f in (saelens, sparsify, gemma_scope, gemma_scope_2, openmoss, dictionary_learning, openai)}
    cases = sorted(folder.glob("*/case.json"))
    for case in cases:
        said = json.loads(case.read_text())
        codes, outputs = forwards[said["format"].replace("-", "_")](case.parent / said["path"], np.array(said["rows"]))
        for name, ours, theirs in (("codes", said["codes"], codes), ("outputs", said["outputs"], outputs)):
            difference = np.abs(np.array(ours) - theirs).max()
            assert difference < said["tolerance"], f"{case.parent.name}: {name} differ by {difference}"
        assert (codes != 0).any()
    print(len(cases))


def write(folder):
    random = np.random.default_rng(3)

    def numbers(*shape):
        return random.normal(size=shape, scale=0.4).astype(np.float32)

    def weights(output=D):
        return {"WEnc": numbers(N, D), "WDec": numbers(N, output), "BEnc": numbers(N), "BDec": numbers(output)}

    def expect(name, w, **said):
        said = {"centres": False, "k": 0, "normalization": "None", **said, **{k: np.asarray(v).tolist() for k, v in w.items()}}
        (folder / f"{name}.json").write_text(json.dumps(said))

    def config(name, file, fields):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / file).write_text(json.dumps(fields, indent=4))

    metadata = {"sae_lens_version": "6.18.0", "model_name": "gpt2", "hook_name": "blocks.0.hook_resid_post"}
    base = {"d_in": D, "d_sae": N, "dtype": "float32", "device": "cuda", "apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none", "metadata": metadata}
    for kind, selection in (("standard", "Relu"), ("topk", "TopK"), ("jumprelu", "JumpRelu"), ("gated", "Gated")):
        w = weights()
        tensors = {"W_enc": w["WEnc"].T, "W_dec": w["WDec"], "b_gate" if kind == "gated" else "b_enc": w["BEnc"], "b_dec": w["BDec"]}
        if kind == "jumprelu":
            tensors["threshold"] = w["Threshold"] = np.abs(numbers(N))
        if kind == "gated":
            tensors["b_mag"], tensors["r_mag"] = w["BMag"], w["RMag"] = numbers(N), numbers(N)
        config(f"saelens-{kind}", "cfg.json", {**base, "architecture": kind, **({"k": K, "rescale_acts_by_decoder_norm": False} if kind == "topk" else {})})
        write_safetensors(folder / f"saelens-{kind}" / "sae_weights.safetensors", tensors)
        expect(f"saelens-{kind}", w, format="saelens", selection=selection, centres=True, k=K if kind == "topk" else 0)

    w = weights(D - 1)
    w["Threshold"], w["WSkip"] = np.abs(numbers(N)), numbers(D - 1, D)
    config("saelens-skip", "cfg.json", {**base, "apply_b_dec_to_input": False, "architecture": "jumprelu_skip_transcoder", "d_out": D - 1})
    write_safetensors(folder / "saelens-skip" / "sae_weights.safetensors", {"W_enc": w["WEnc"].T, "W_dec": w["WDec"], "b_enc": w["BEnc"], "b_dec": w["BDec"], "threshold": w["Threshold"], "W_skip": w["WSkip"]})
    expect("saelens-skip", w, format="saelens", selection="JumpRelu")

    for activation, selection in (("topk", "TopK"), ("groupmax", "GroupMax")):
        w = weights()
        config(f"sparsify-{activation}", "cfg.json", {"activation": activation, "expansion_factor": 32, "normalize_decoder": True, "num_latents": N, "k": 4, "multi_topk": False, "skip_connection": False, "transcode": False, "d_in": D})
        write_safetensors(folder / f"sparsify-{activation}" / "sae.safetensors", {"encoder.weight": w["WEnc"], "encoder.bias": w["BEnc"], "W_dec": w["WDec"], "b_dec": w["BDec"]})
        expect(f"sparsify-{activation}", w, format="sparsify", selection=selection, centres=True, k=4)

    for name, save in (("stored", np.savez), ("compressed", np.savez_compressed)):
        w = weights()
        w["Threshold"] = np.abs(numbers(N))
        (folder / f"gemma-scope-{name}").mkdir()
        save(folder / f"gemma-scope-{name}" / "params.npz", W_enc=w["WEnc"].T, W_dec=w["WDec"], b_enc=w["BEnc"], b_dec=w["BDec"], threshold=w["Threshold"])
        expect(f"gemma-scope-{name}", w, format="gemma-scope", selection="JumpRelu")

    w = weights()
    w["Threshold"], w["WSkip"] = np.abs(numbers(N)), numbers(D, D)
    config("gemma-scope-2", "config.json", {"hf_hook_point_in": "model.layers.5.pre_feedforward_layernorm.output", "hf_hook_point_out": "model.layers.5.post_feedforward_layernorm.output", "width": N,
                                            "model_name": "google/gemma-3-4b-it", "architecture": "jump_relu", "l0": 20, "affine_connection": True, "type": "transcoder"})
    write_safetensors(folder / "gemma-scope-2" / "params.safetensors", {"w_enc": w["WEnc"].T, "w_dec": w["WDec"], "b_enc": w["BEnc"], "b_dec": w["BDec"], "threshold": w["Threshold"], "affine_skip_connection": w["WSkip"].T})
    expect("gemma-scope-2", w, format="gemma-scope-2", selection="JumpRelu")

    w = weights()
    config("openmoss", "config.json", {"sae_type": "sae", "d_model": D, "expansion_factor": N / D, "use_decoder_bias": True, "act_fn": "topk", "norm_activation": "token-wise", "sparsity_include_decoder_norm": False,
                                       "top_k": K, "use_triton_kernel": False, "jumprelu_threshold_window": 2.0, "hook_point_in": "blocks.0.hook_resid_post", "hook_point_out": "blocks.0.hook_resid_post", "use_glu_encoder": False})
    write_safetensors(folder / "openmoss" / "sae_weights.safetensors", {"W_E": w["WEnc"].T, "b_E": w["BEnc"], "W_D": w["WDec"], "b_D": w["BDec"], "dataset_average_activation_norm.blocks.0.hook_resid_post": np.float32(2)}, {"version": "2.0.0"})
    expect("openmoss", w, format="openmoss", selection="TopK", k=K, normalization="ConstantNorm")

    def dictionary(name, kind, selection, w, state, **said):
        config(name, "config.json", {"trainer": {"dict_class": kind, "activation_dim": D, "dict_size": N, "k": K, "lm_name": "pythia", "layer": 3, "submodule_name": "resid_post_layer_3"}, "buffer": {"ctx_len": 128}})
        torch.save(OrderedDict((k, v if torch.is_tensor(v) else torch.tensor(v)) for k, v in state.items()), folder / name / "ae.pt")
        expect(name, w, format="dictionary_learning", selection=selection, **said)

    w = weights()
    transposed = torch.tensor(w["WDec"]).T        # as a module's weight.T would be saved: a view
    dictionary("dl-relu", "AutoEncoder", "Relu", w, {"bias": w["BDec"], "encoder.weight": w["WEnc"], "encoder.bias": w["BEnc"], "decoder.weight": transposed}, centres=True)
    w = weights()
    dictionary("dl-new", "AutoEncoderNew", "Relu", w, {"encoder.weight": w["WEnc"], "encoder.bias": w["BEnc"], "decoder.weight": w["WDec"].T.copy(), "decoder.bias": w["BDec"]})
    w = weights()
    w["BMag"], w["RMag"] = numbers(N), numbers(N)
    dictionary("dl-gated", "GatedAutoEncoder", "Gated", w, {"decoder_bias": w["BDec"], "r_mag": w["RMag"], "gate_bias": w["BEnc"], "mag_bias": w["BMag"], "encoder.weight": w["WEnc"], "decoder.weight": transposed_copy(w["WDec"])}, centres=True)
    w = weights()
    linear = {"b_dec": w["BDec"], "k": torch.tensor(K, dtype=torch.int), "threshold": torch.tensor(0.25), "decoder.weight": transposed_copy(w["WDec"]), "encoder.weight": w["WEnc"], "encoder.bias": w["BEnc"]}
    dictionary("dl-topk", "AutoEncoderTopK", "TopK", w, linear, centres=True, k=K)
    dictionary("dl-batchtopk", "BatchTopKSAE", "BatchTopK", {**w, "BatchThreshold": 0.25}, linear, centres=True)
    w = weights()
    w["Threshold"] = np.abs(numbers(N))
    plain = {"W_enc": w["WEnc"].T.copy(), "b_enc": w["BEnc"], "W_dec": w["WDec"], "b_dec": w["BDec"]}
    dictionary("dl-jumprelu", "JumpReluAutoEncoder", "JumpRelu", w, {**plain, "threshold": w["Threshold"]})
    del w["Threshold"]
    dictionary("dl-matryoshka", "MatryoshkaBatchTopKSAE", "BatchTopK", {**w, "BatchThreshold": 0.5}, {**plain, "k": torch.tensor(K, dtype=torch.int), "threshold": torch.tensor(0.5), "group_sizes": torch.tensor([4, 12])}, centres=True)

    w = weights()
    state = OrderedDict((k, torch.tensor(v)) for k, v in {"pre_bias": w["BDec"], "latent_bias": w["BEnc"], "stats_last_nonzero": np.arange(N), "latents_activation_frequency": np.full(N, 0.1, np.float32),
                                                           "latents_mean_square": np.zeros(N, np.float32), "encoder.weight": w["WEnc"], "decoder.weight": w["WDec"].T.copy()}.items())
    state["activation"], state["activation_state_dict"] = "TopK", {"k": K, "postact_fn": "ReLU"}
    torch.save(state, folder / "openai.pt")
    expect("openai.pt", w, format="openai", selection="TopK", centres=True, k=K, normalization="LayerNorm")


def transposed_copy(matrix):
    return torch.tensor(matrix).T.contiguous()


if __name__ == "__main__":
    {"check": check, "write": write}[sys.argv[1]](Path(sys.argv[2]))
