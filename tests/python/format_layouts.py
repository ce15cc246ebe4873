"""Writes SAEs in the layout of each project, for formats.py."""
import json
import struct
from collections import OrderedDict

import numpy as np
import torch

D, N, K = 5, 16, 3


def write_safetensors(path, tensors, metadata=None):
    header, end = ({"__metadata__": metadata} if metadata else {}), 0
    for name in reversed(sorted(tensors)):      # any order is legal
        tensors[name] = np.ascontiguousarray(tensors[name], dtype="<f4")
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape),
            "data_offsets": [end, end + tensors[name].nbytes]}
        end += tensors[name].nbytes
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text
        + b"".join(tensors[n].tobytes() for n in header if n != "__metadata__"))


def write(folder):
    random = np.random.default_rng(3)

    def numbers(*shape):
        return random.normal(size=shape, scale=0.4).astype(np.float32)

    def weights(output=D):
        return {"WEnc": numbers(N, D), "WDec": numbers(N, output), "BEnc": numbers(N), "BDec": numbers(output)}

    def expect(name, w, **said):
        said = {"centres": False, "k": 0, "normalization": "None", **said,
            **{k: np.asarray(v).tolist() for k, v in w.items()}}
        (folder / f"{name}.json").write_text(json.dumps(said))

    def config(name, file, fields):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / file).write_text(json.dumps(fields, indent=4))

    metadata = {"sae_lens_version": "6.18.0", "model_name": "gpt2", "hook_name": "blocks.0.hook_resid_post"}
    base = {"d_in": D, "d_sae": N, "dtype": "float32", "device": "cuda", "apply_b_dec_to_input": True,
        "normalize_activations": "none", "reshape_activations": "none", "metadata": metadata}
    for kind, selection in (("standard", "Relu"), ("topk", "TopK"), ("jumprelu", "JumpRelu"), ("gated", "Gated")):
        w = weights()
        tensors = {"W_enc": w["WEnc"].T, "W_dec": w["WDec"], "b_gate" if kind == "gated" else "b_enc": w["BEnc"],
            "b_dec": w["BDec"]}
        if kind == "jumprelu":
            tensors["threshold"] = w["Threshold"] = np.abs(numbers(N))
        if kind == "gated":
            tensors["b_mag"], tensors["r_mag"] = w["BMag"], w["RMag"] = numbers(N), numbers(N)
        config(f"saelens-{kind}", "cfg.json", {**base, "architecture": kind,
            **({"k": K, "rescale_acts_by_decoder_norm": False} if kind == "topk" else {})})
        write_safetensors(folder / f"saelens-{kind}" / "sae_weights.safetensors", tensors)
        expect(f"saelens-{kind}", w, format="saelens", selection=selection, centres=True, k=K if kind == "topk" else 0)

    w = weights(D - 1)
    w["Threshold"], w["WSkip"] = np.abs(numbers(N)), numbers(D - 1, D)
    config("saelens-skip", "cfg.json", {**base, "apply_b_dec_to_input": False,
        "architecture": "jumprelu_skip_transcoder", "d_out": D - 1})
    write_safetensors(folder / "saelens-skip" / "sae_weights.safetensors",
        {"W_enc": w["WEnc"].T, "W_dec": w["WDec"], "b_enc": w["BEnc"], "b_dec": w["BDec"], "threshold": w["Threshold"],
        "W_skip": w["WSkip"]})
    expect("saelens-skip", w, format="saelens", selection="JumpRelu")

    for activation, selection in (("topk", "TopK"), ("groupmax", "GroupMax")):
        w = weights()
        config(f"sparsify-{activation}", "cfg.json", {"activation": activation, "expansion_factor": 32,
            "normalize_decoder": True, "num_latents": N, "k": 4, "multi_topk": False, "skip_connection": False,
            "transcode": False, "d_in": D})
        write_safetensors(folder / f"sparsify-{activation}" / "sae.safetensors",
            {"encoder.weight": w["WEnc"], "encoder.bias": w["BEnc"], "W_dec": w["WDec"], "b_dec": w["BDec"]})
        expect(f"sparsify-{activation}", w, format="sparsify", selection=selection, centres=True, k=4)

    for name, save in (("stored", np.savez), ("compressed", np.savez_compressed)):
        w = weights()
        w["Threshold"] = np.abs(numbers(N))
        (folder / f"gemma-scope-{name}").mkdir()
        save(folder / f"gemma-scope-{name}" / "params.npz", W_enc=w["WEnc"].T, W_dec=w["WDec"], b_enc=w["BEnc"],
            b_dec=w["BDec"], threshold=w["Threshold"])
        expect(f"gemma-scope-{name}", w, format="gemma-scope", selection="JumpRelu")

    w = weights()
    w["Threshold"], w["WSkip"] = np.abs(numbers(N)), numbers(D, D)
    config("gemma-scope-2", "config.json", {"hf_hook_point_in": "model.layers.5.pre_feedforward_layernorm.output",
        "hf_hook_point_out": "model.layers.5.post_feedforward_layernorm.output", "width": N,
        "model_name": "google/gemma-3-4b-it", "architecture": "jump_relu", "l0": 20, "affine_connection": True,
        "type": "transcoder"})
    write_safetensors(folder / "gemma-scope-2" / "params.safetensors",
        {"w_enc": w["WEnc"].T, "w_dec": w["WDec"], "b_enc": w["BEnc"], "b_dec": w["BDec"], "threshold": w["Threshold"],
        "affine_skip_connection": w["WSkip"].T})
    expect("gemma-scope-2", w, format="gemma-scope-2", selection="JumpRelu")

    w = weights()
    config("openmoss", "config.json", {"sae_type": "sae", "d_model": D, "expansion_factor": N / D,
        "use_decoder_bias": True, "act_fn": "topk", "norm_activation": "token-wise",
        "sparsity_include_decoder_norm": False, "top_k": K, "use_triton_kernel": False,
        "jumprelu_threshold_window": 2.0, "hook_point_in": "blocks.0.hook_resid_post",
        "hook_point_out": "blocks.0.hook_resid_post", "use_glu_encoder": False})
    write_safetensors(folder / "openmoss" / "sae_weights.safetensors",
        {"W_E": w["WEnc"].T, "b_E": w["BEnc"], "W_D": w["WDec"], "b_D": w["BDec"],
        "dataset_average_activation_norm.blocks.0.hook_resid_post": np.float32(2)}, {"version": "2.0.0"})
    expect("openmoss", w, format="openmoss", selection="TopK", k=K, normalization="ConstantNorm")

    def dictionary(name, kind, selection, w, state, **said):
        config(name, "config.json", {"trainer": {"dict_class": kind, "activation_dim": D, "dict_size": N, "k": K,
            "lm_name": "pythia", "layer": 3, "submodule_name": "resid_post_layer_3"}, "buffer": {"ctx_len": 128}})
        torch.save(OrderedDict((k, v if torch.is_tensor(v) else torch.tensor(v)) for k, v in state.items()),
            folder / name / "ae.pt")
        expect(name, w, format="dictionary_learning", selection=selection, **said)

    w = weights()
    transposed = torch.tensor(w["WDec"]).T        # as a module's weight.T would be saved: a view
    dictionary("dl-relu", "AutoEncoder", "Relu", w, {"bias": w["BDec"], "encoder.weight": w["WEnc"],
        "encoder.bias": w["BEnc"], "decoder.weight": transposed}, centres=True)
    w = weights()
    dictionary("dl-new", "AutoEncoderNew", "Relu", w, {
        "encoder.weight": w["WEnc"], "encoder.bias": w["BEnc"], "decoder.weight": w["WDec"].T.copy(),
        "decoder.bias": w["BDec"]})
    w = weights()
    w["BMag"], w["RMag"] = numbers(N), numbers(N)
    dictionary("dl-gated", "GatedAutoEncoder", "Gated", w,
        {"decoder_bias": w["BDec"], "r_mag": w["RMag"], "gate_bias": w["BEnc"], "mag_bias": w["BMag"],
        "encoder.weight": w["WEnc"], "decoder.weight": transposed_copy(w["WDec"])}, centres=True)
    w = weights()
    linear = {"b_dec": w["BDec"], "k": torch.tensor(K, dtype=torch.int), "threshold": torch.tensor(0.25),
        "decoder.weight": transposed_copy(w["WDec"]), "encoder.weight": w["WEnc"], "encoder.bias": w["BEnc"]}
    dictionary("dl-topk", "AutoEncoderTopK", "TopK", w, linear, centres=True, k=K)
    dictionary("dl-batchtopk", "BatchTopKSAE", "BatchTopK", {**w, "BatchThreshold": 0.25}, linear, centres=True)
    w = weights()
    w["Threshold"] = np.abs(numbers(N))
    plain = {"W_enc": w["WEnc"].T.copy(), "b_enc": w["BEnc"], "W_dec": w["WDec"], "b_dec": w["BDec"]}
    dictionary("dl-jumprelu", "JumpReluAutoEncoder", "JumpRelu", w, {**plain, "threshold": w["Threshold"]})
    del w["Threshold"]
    dictionary("dl-matryoshka", "MatryoshkaBatchTopKSAE", "BatchTopK", {**w, "BatchThreshold": 0.5},
        {**plain, "k": torch.tensor(K, dtype=torch.int), "threshold": torch.tensor(0.5),
        "group_sizes": torch.tensor([4, 12])}, centres=True)

    w = weights()
    state = OrderedDict((k, torch.tensor(v)) for k, v in {
        "pre_bias": w["BDec"], "latent_bias": w["BEnc"], "stats_last_nonzero": np.arange(N),
        "latents_activation_frequency": np.full(N, 0.1, np.float32),
        "latents_mean_square": np.zeros(N, np.float32), "encoder.weight": w["WEnc"],
        "decoder.weight": w["WDec"].T.copy()}.items())
    state["activation"], state["activation_state_dict"] = "TopK", {"k": K, "postact_fn": "ReLU"}
    torch.save(state, folder / "openai.pt")
    expect("openai.pt", w, format="openai", selection="TopK", centres=True, k=K, normalization="LayerNorm")


def transposed_copy(matrix):
    return torch.tensor(matrix).T.contiguous()
