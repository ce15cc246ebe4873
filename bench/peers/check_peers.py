#!/usr/bin/env python3
"""Whether the peers compute what CudaSae computes: loss and gradients of one small problem against autograd in double, then the losses of five whole steps.
A peer that computes something else is no peer, so gpu_peers.py runs this first.

    python3 bench/peers/check_peers.py [--device cuda|cpu] [--program cudasae] [--backend cuda|cpu|emulator] [--csv FILE]

On the CPU the sparse trainer is checked twice: the plain torch twin of its kernels, and the kernels' source on a stand-in for Triton (fake_triton.py).
"""
import argparse
import os
import subprocess
import sys
import tempfile

import torch

from common import NAMES, TOLERANCE, agreement_problem, differences, read_safetensors, reference, write_safetensors
from gpu_torch import DenseTopK
from triton_sparse import SparseTopK, TorchOps, TritonOps

STEPS = 5


def copies(weights, device):
    return {name: value.clone().to(device) for name, value in weights.items()}


def trainers(device, active):
    """(name, precision, weights -> trainer) of every peer that can run here."""
    cuda = device.startswith("cuda")
    for precision in ("fp32", "tf32", "bf16") if cuda else ("fp32", "bf16"):
        yield f"torch {precision}", precision, lambda w, p=precision: DenseTopK(w, active, p)
        if cuda:
            yield f"torch {precision} compiled", precision, lambda w, p=precision: DenseTopK(w, active, p, compiled=True)
    for precision in ("fp32", "bf16"):
        yield f"sparse {precision}, plain torch", precision, lambda w, p=precision: SparseTopK(w, active, p, TorchOps())
        yield f"sparse {precision}, {'Triton' if cuda else 'kernels on a stand-in'}", precision, lambda w, p=precision: SparseTopK(w, active, p, TritonOps())


def peers(device, weights, x, active):
    """(name, precision, (loss, gradients), losses of five steps) of every peer."""
    for name, precision, make in trainers(device, active):
        trainer = make(copies(weights, device))
        loss = trainer.gradients(x.to(device)).item()
        gradients = {n: trainer.p[n].grad.clone() for n in NAMES}
        trainer = make(copies(weights, device))
        yield name, precision, (loss, gradients), [trainer.step(x.to(device)).item() for _ in range(STEPS)]


def ours(program, backend, weights, x, active):
    """The same of CudaSae: cudasae bench gradients."""
    with tempfile.TemporaryDirectory() as folder:
        problem, result = os.path.join(folder, "problem.safetensors"), os.path.join(folder, "result.safetensors")
        write_safetensors(problem, {"x": x, **weights})
        subprocess.run([program, "bench", "gradients", problem, result, "--k", str(active), "--steps", str(STEPS), "--backend", backend], check=True, stdout=subprocess.DEVNULL)
        got = read_safetensors(result)
    return f"cudasae, {backend}", "fp32" if backend == "cpu" else "bf16", (got["loss"].item(), got), got["losses"].tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--program")
    parser.add_argument("--backend", default=None)
    parser.add_argument("--csv")
    a = parser.parse_args()
    cuda = a.device.startswith("cuda")
    if not cuda:
        import fake_triton
        fake_triton.install()
    weights, x, active = agreement_problem()
    expected = reference(weights, x, active)
    answers = list(peers(a.device, weights, x, active))
    if a.program:
        answers.append(ours(a.program, a.backend or ("cuda" if cuda else "cpu"), weights, x, active))

    wrong, lines = 0, ["peer,precision," + ",".join(("loss", *NAMES)) + ",five_steps,allowed"]
    steps = answers[0][3]
    for name, precision, got, losses in answers:
        off = differences(got, expected)
        off["five steps"] = max(abs(a - b) / abs(b) for a, b in zip(losses, steps))
        allowed = TOLERANCE[precision]
        bad = [n for n, share in off.items() if not share <= allowed]
        wrong += bool(bad)
        print(f"{name:34} {' '.join(f'{n} {share:.1e}' for n, share in off.items())}  allowed {allowed:.1e}  {'DIFFERS in ' + ', '.join(bad) if bad else 'ok'}")
        lines.append(f"\"{name}\",{precision}," + ",".join(f"{share:.3e}" for share in off.values()) + f",{allowed:.3e}")
    if a.csv:
        with open(a.csv, "w") as file:
            file.write("\n".join(lines) + "\n")
    print("all peers compute the same step" if wrong == 0 else f"{wrong} peers compute something else")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
