#!/usr/bin/env python3
"""The dense TopK step in PyTorch as a careful user writes it: autograd, torch.topk and scatter, fused Adam, unit-norm
decoder with the gradient's radial part removed.

    python3 bench/peers/gpu_torch.py --precision fp32|tf32|bf16 [--compile] --shape B,d,n,k [--seconds 8]
        [--device cuda|cpu]
    python3 bench/peers/gpu_torch.py --precision ... --gradients PROBLEM OUT --k k

bf16 is autocast: weights and Adam's state stay float32, products and the code are bfloat16, as in SAELens, sparsify and
dictionary_learning. With --compile the loss, its backward and the decoder's projection go through torch.compile. The
program is written against PyTorch 2.11; its dense path has run on the CPU with 1.13. It has not run on a GPU yet.
"""
import argparse
import functools
import json

import torch
import torch.nn.functional as F

from common import NAMES, measured, read_safetensors, write_safetensors


def set_precision(precision):
    # These names have the same meaning in every 2.x: "highest" is float32, "high" TensorFloat32.
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")


@functools.cache
def compiled_once(function):
    """One process builds trainers for several shapes and rounds. They share the compiled code, which has a version for
    each shape; past Dynamo's limit of versions this fails, where the default is to run eager code."""
    import torch._dynamo
    for name in ("fail_on_recompile_limit_hit", "fail_on_cache_limit_hit"):     # the name since 2.6, the name before
        if hasattr(torch._dynamo.config, name):
            setattr(torch._dynamo.config, name, True)
            break
    return torch.compile(function, dynamic=False)


class DenseTopK:
    """weights: float32 tensors by name, on the device; they are trained in place."""

    def __init__(self, weights, active, precision, compiled=False, learning_rate=1e-3):
        set_precision(precision)
        self.p = {name: weights[name].requires_grad_() for name in NAMES}
        self.active, self.autocast = active, precision == "bf16"
        cuda = self.p["W_enc"].is_cuda
        self.adam = torch.optim.Adam(self.p.values(), lr=learning_rate, **({"fused": True} if cuda else {}))
        functions = (dense_loss, project, renormalise)
        self.loss, self.project, self.renormalise = map(compiled_once, functions) if compiled else functions

    def gradients(self, x):
        """Leaves the gradients in .grad and returns the loss."""
        self.adam.zero_grad(set_to_none=True)
        loss = self.loss(x, *(self.p[name] for name in NAMES), self.active, self.autocast)
        loss.backward()
        return loss.detach()

    def step(self, x):
        loss = self.gradients(x)
        with torch.no_grad():
            self.project(self.p["W_dec"].grad, self.p["W_dec"])
            self.adam.step()
            self.renormalise(self.p["W_dec"])
        return loss


def dense_loss(x, w_enc, w_dec, b_enc, b_dec, active, autocast):
    with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=autocast):
        values, index = F.linear(x - b_dec, w_enc, b_enc).topk(active, dim=1, sorted=False)
        empty = torch.zeros(x.shape[0], w_enc.shape[0], dtype=values.dtype, device=x.device)
        code = empty.scatter(1, index, values.relu())
        reconstruction = code @ w_dec + b_dec
    return (reconstruction.float() - x).pow(2).sum() / x.shape[0]


def project(gradient, rows):
    gradient -= (gradient * rows).sum(1, keepdim=True) * rows


def renormalise(rows):
    rows /= rows.norm(dim=1, keepdim=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="bf16")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--shape", help="B,d,n,k")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--gradients", nargs=2, metavar=("PROBLEM", "OUT"))
    parser.add_argument("--k", type=int)
    a = parser.parse_args()
    if a.gradients:
        problem = {name: tensor.to(a.device) for name, tensor in read_safetensors(a.gradients[0]).items()}
        x = problem.pop("x")
        trainer = DenseTopK(problem, a.k, a.precision, a.compile)
        loss = trainer.gradients(x)
        write_safetensors(a.gradients[1], {"loss": loss.reshape(1), **{name: trainer.p[name].grad for name in NAMES}})
        return
    print(json.dumps(measured(lambda w, k: DenseTopK(w, k, a.precision, a.compile), a.shape, a.seconds, a.device)))


if __name__ == "__main__":
    main()
