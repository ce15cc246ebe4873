#!/usr/bin/env python3
"""Whether the peers compute what CudaSae computes: loss and gradients of one small problem against autograd in
double, then the losses of five whole steps against dense float32 on the CPU. gpu_peers.py does not time a peer that
computes something else.

    python3 bench/peers/check_peers.py [--device cuda|cpu] [--program cudasae-bench]
                                       [--backend cuda|cpu|emulator] [--only NAME[,NAME...]] [--csv FILE]

--only checks, and so compiles, those alone; a name is one of gpu_peers.py, such as "torch bf16 compiled".
On the CPU the sparse trainer is checked twice: the plain torch twin of its kernels, and the kernels' source on a
stand-in for Triton (fake_triton.py).
"""
import argparse
import csv
import os
import subprocess
import sys
import tempfile

import torch

from common import NAMES, TOLERANCE, agreement_problem, differences, read_safetensors, reference, write_safetensors
from contestants import CHECK_HEADER, chosen, in_a_line
from gpu_torch import DenseTopK
from triton_sparse import SparseTopK, TorchOps, TritonOps

STEPS = 5


def copies(weights, device):
    return {name: value.clone().to(device) for name, value in weights.items()}


class Agreement:
    """The problem, and the expected results of every peer."""

    def __init__(self):
        self.weights, self.x, self.active = agreement_problem()
        self.expected = reference(self.weights, self.x, self.active)
        _, self.losses = self.answer(lambda w, k: DenseTopK(w, k, "fp32"), "cpu")

    def answer(self, make, device):
        """Returns ((loss, gradients), losses of five steps) of the trainer that make(weights, k) returns."""
        x = self.x.to(device)
        trainer = make(copies(self.weights, device), self.active)
        loss = trainer.gradients(x).item()
        gradients = {name: trainer.p[name].grad.clone() for name in NAMES}
        trainer = make(copies(self.weights, device), self.active)
        return (loss, gradients), [trainer.step(x).item() for _ in range(STEPS)]

    def ours(self, program, backend):
        """Returns the same for CudaSae, by cudasae-bench gradients; raises RuntimeError where it fails."""
        with tempfile.TemporaryDirectory() as folder:
            problem, result = (os.path.join(folder, f"{name}.safetensors") for name in ("problem", "result"))
            write_safetensors(problem, {"x": self.x, **self.weights})
            process = subprocess.run([program, "gradients", problem, result, "--k", str(self.active),
                                      "--steps", str(STEPS), "--backend", backend], capture_output=True, text=True)
            if process.returncode:
                lines = process.stderr.strip().splitlines()
                raise RuntimeError((lines or [f"ended with {process.returncode}"])[-1])
            got = read_safetensors(result)
        return (got["loss"].item(), got), got["losses"].tolist()

    def judge(self, precision, answer):
        """Returns relative differences by name, and a description of the errors, which is empty without errors."""
        off = differences(answer[0], self.expected)
        off["five steps"] = max(abs(a - b) / abs(b) for a, b in zip(answer[1], self.losses))
        bad = [name for name, share in off.items() if not share <= TOLERANCE[precision]]
        return off, f"differs in {', '.join(bad)}" if bad else ""


def trainers(device):
    """(name, precision, (weights, k) -> trainer) of every peer that can run here."""
    cuda = device.startswith("cuda")
    for precision in ("fp32", "tf32", "bf16") if cuda else ("fp32", "bf16"):
        yield f"torch {precision}", precision, lambda w, k, p=precision: DenseTopK(w, k, p)
        if cuda:
            yield f"torch {precision} compiled", precision, lambda w, k, p=precision: DenseTopK(w, k, p, compiled=True)
    for precision in ("fp32", "bf16"):
        yield f"sparse {precision}, plain torch", precision, lambda w, k, p=precision: SparseTopK(w, k, p, TorchOps())
        yield (f"sparse {precision}, {'Triton' if cuda else 'kernels on a stand-in'}", precision,
               lambda w, k, p=precision: SparseTopK(w, k, p, TritonOps()))


def checks(a, agreement):
    """Returns (name, precision, () -> answer) of everything that --device, --program and --only select."""
    found = [(name, precision, lambda make=make: agreement.answer(make, a.device))
             for name, precision, make in trainers(a.device)]
    if a.program:
        found.append((f"cudasae, {a.backend}", "fp32" if a.backend == "cpu" else "bf16",
                      lambda: agreement.ours(a.program, a.backend)))
    names = chosen([name for name, _, _ in found], a.only)
    return [one for one in found if one[0] in names]


def row(name, precision, off, fault):
    """A line of the CSV table."""
    shares = [f"{share:.3e}" for share in off.values()] or [""] * 6
    return [name, precision, *shares, f"{TOLERANCE[precision]:.3e}", fault]


def write_table(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([CHECK_HEADER, *rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--program", help="cudasae-bench, to check CudaSae too")
    parser.add_argument("--backend", default=None)
    parser.add_argument("--only", help="contestants by name, with commas between; all without it")
    parser.add_argument("--csv")
    a = parser.parse_args()
    cuda = a.device.startswith("cuda")
    a.backend = a.backend or ("cuda" if cuda else "cpu")
    if not cuda:
        import fake_triton
        fake_triton.install()
    agreement, wrong, table = Agreement(), 0, []
    try:
        asked = checks(a, agreement)
    except ValueError as error:
        print(f"check_peers.py: {error}", file=sys.stderr)
        sys.exit(2)
    for name, precision, answer in asked:
        try:
            off, fault = agreement.judge(precision, answer())
        except Exception as error:      # any error of a compiler or a driver; the others are still checked
            off, fault = {}, in_a_line(error)
        wrong += bool(fault)
        shares = " ".join(f"{n} {share:.1e}" for n, share in off.items())
        print(f"{name:34} {shares}  allowed {TOLERANCE[precision]:.1e}  {fault or 'ok'}", flush=True)
        table.append(row(name, precision, off, fault))
        if a.csv:
            write_table(a.csv, table)
    print("all peers compute the same step" if wrong == 0 else f"{wrong} peers compute something else")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
