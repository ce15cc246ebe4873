"""Compares CudaSae's .pt and .npz files with torch and numpy. ContainerTests.cs calls it:

    containers.py write FOLDER    writes torch's and numpy's files, and the contents of each into FILE.json beside it
    containers.py check FOLDER    loads CudaSae's files and compares them with their FILE.json

FILE.json: {"tensors": {name: {"type", "shape", "hex"}}, "metadata": {name: text}}; type as safetensors
names it, hex of the bytes in C order.
"""
import json
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

WORDS = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
         torch.int64: "I64", torch.int32: "I32",
         torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}
NUMPY_WORDS = {"f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8", "u8": "U64",
               "u4": "U32", "u2": "U16", "u1": "U8", "b1": "BOOL"}


def describe(tensor):
    if isinstance(tensor, torch.Tensor):
        tensor = tensor.detach().contiguous()
        # numpy has no bfloat16
        raw = tensor.flatten().view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
        return {"type": WORDS[tensor.dtype], "shape": list(tensor.shape), "hex": raw.numpy().tobytes().hex()}
    return {"type": NUMPY_WORDS[tensor.dtype.str[1:]], "shape": list(tensor.shape), "hex": tensor.tobytes("C").hex()}


def flatten(value, name, tensors, metadata):
    if isinstance(value, (torch.Tensor, np.ndarray)):
        tensors[name or "tensor"] = describe(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            flatten(item, f"{name}.{key}" if name else str(key), tensors, metadata)
    elif isinstance(value, (list, tuple)) and not isinstance(value, str):
        flatten(dict(enumerate(value)), name, tensors, metadata)
    elif value is not None:
        metadata[name or "value"] = str(value)
    return {"tensors": tensors, "metadata": metadata}


def write(folder):
    torch.manual_seed(1)
    values = torch.randn(4, 6)
    base = torch.arange(60.0)
    types = {str(t)[6:]: (torch.arange(-3, 9).reshape(3, 4) * 0.7).to(t) for t in WORDS}
    decoder = torch.nn.Linear(5, 7)
    decoder.weight.data = decoder.weight.data.t().contiguous().t()      # column-major, as OpenAI's decoder.weight
    files = {
        "types.pt": types,
        "views.pt": {"t": values.t(), "offset": base[7:], "steps": base[3:53:5], "grid": base.reshape(6, 10)[::2, 1::3],
                     "cut": base.reshape(3, 4, 5).permute(2, 0, 1)[1:, :, ::2],
                     "row": values[2:3], "column": values[:, 1:2], "one": values.t()[3, 2], "shared": base,
                     "again": base, "ones": torch.ones(1, 1, 3).transpose(0, 2)},
        "empty.pt": {"none": torch.empty(0), "wide": torch.empty(4, 0), "tall": torch.empty(0, 4), "slice": base[60:],
                     "nothing": {}, "list": [], "zero": torch.tensor(5), "half": torch.tensor(0.1).bfloat16()},
        "openai.pt": OrderedDict([("pre_bias", values[0]), ("encoder.weight", values),
                                  ("decoder.weight", decoder.weight.data), ("activation", "TopK"),
                                  ("activation_state_dict", {"k": 32})]),
        "nested.pt": {"state_dict": decoder.state_dict(), "parameter": torch.nn.Parameter(values),
                      "cfg": {"d": 7, "big": 2**40, "huge": -2**80, "minus": -5, "word": 40000, "text": "π\nδ",
                      "yes": True,
                      "no": False, "none": None, "rate": 0.5, "size": values.size(), "dtype": torch.float32,
                      "device": torch.device("cpu"), "gpu": torch.device("cuda", 1), "tuple": (1, "a", (2,), ()),
                      "list": [1, [2, 3]], "f64": np.float64(0.25), "f32": np.float32(1.5), "i64": np.int64(-9),
                      "flag": np.bool_(True)}, "layers": {0: values[0], 10: values[1]}},
        "bare.pt": values.t(),
        "list.pt": [values, {"x": base}, (values.half(),)],
        "number.pt": 7,
        "state.pt": torch.nn.Sequential(decoder, torch.nn.BatchNorm1d(7)).state_dict(),
    }
    for name, value in files.items():
        torch.save(value, folder / name)
        (folder / (name + ".json")).write_text(json.dumps(flatten(value, "", {}, {})))
    for protocol in (3, 4, 5):
        torch.save(files["nested.pt"], folder / f"protocol{protocol}.pt", pickle_protocol=protocol)
        (folder / f"protocol{protocol}.pt.json").write_text((folder / "nested.pt.json").read_text())
    torch.save(values, folder / "legacy.refused", _use_new_zipfile_serialization=False)
    torch.save({"module": decoder}, folder / "module.refused")
    torch.save({"set": {1}}, folder / "set.refused")
    torch.save({"x": torch.ones(1).expand(1000000)}, folder / "expanded.refused")
    torch.save({"x": torch.ones(2, dtype=torch.complex64)}, folder / "complex.refused")
    torch.jit.script(decoder).save(folder / "script.refused")

    random = np.random.default_rng(2)
    arrays = {code: (random.standard_normal((3, 5)) * 20).astype(code) for code in NUMPY_WORDS}
    arrays |= {"fortran": np.asfortranarray(arrays["f4"]), "cube": np.asfortranarray(random.standard_normal((2, 3, 4))),
        "scalar": np.array(2.5), "vector": np.arange(9.0), "empty": np.empty((0, 4), order="F"),
               "cut": arrays["f8"][::2, 1::2]}
    for name, save in {"stored.npz": np.savez, "packed.npz": np.savez_compressed}.items():
        save(folder / name, **arrays)
        (folder / (name + ".json")).write_text(json.dumps(flatten(arrays, "", {}, {})))
    np.savez(folder / "text.refused", x=np.array("a string"))
    np.savez(folder / "object.refused", x=np.array([{}], dtype=object))
    for refused in ("text", "object"):
        (folder / f"{refused}.refused.npz").rename(folder / f"{refused}.refused")
    np.savez_compressed(folder / "bomb.npz", x=np.zeros(1000000))
    (folder / "bomb.npz").rename(folder / "bomb.refused")


def check(folder):
    count = 0
    for expected in sorted(folder.glob("*.json")):
        path, want = expected.with_suffix(""), json.loads(expected.read_text())
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None, f"{path.name}: a checksum is wrong"
        if path.suffix == ".npz":
            with np.load(path) as file:
                have = flatten(dict(file), "", {}, {})
        else:
            value = torch.load(path)
            tensors = [t for t in value.values() if isinstance(t, torch.Tensor)]
            assert type(value) is OrderedDict, path
            assert all(t.is_contiguous() and not t.requires_grad for t in tensors), path
            if path.stem.startswith("weights"):
                torch.load(path, weights_only=True)
            have = flatten(value, "", {}, {})
        for part in want:
            same = have[part] == want[part] and list(have[part]) == list(want[part])
            assert same, f"{path.name}: {part}: {have[part]} is not {want[part]}"
        count += len(have["tensors"])
    print(f"{count} tensors are equal")


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](Path(sys.argv[2]))
