#!/usr/bin/env python3
"""Whether the peers compute what CudaSae computes: loss and gradients of one small problem against autograd in double, then the losses of five whole steps.
A peer that computes something else is no peer, so gpu_peers.py runs this first.

    python3 bench/peers/check_peers.py [--device cuda|cpu] [--program cudasae] [--backend cuda|cpu|emulator] [--csv FILE]

On the CPU the sparse trainer is checked twice: the plain torch twin of its kernels, and the kernels' source on a stand-in for Triton (fake_triton.py).
"""
import argparse
import csv
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
    """(name, precision, ((loss, gradients), losses of five steps), or why there is no answer) of every peer."""
    for name, precision, make in trainers(device, active):
        try:
            trainer = make(copies(weights, device))
            loss = trainer.gradients(x.to(device)).item()
            gradients = {n: trainer.p[n].grad.clone() for n in NAMES}
            trainer = make(copies(weights, device))
            yield name, precision, ((loss, gradients), [trainer.step(x.to(device)).item() for _ in range(STEPS)])
        except Exception as error:      # whatever a compiler or a driver answers: this peer is left out, the others go on
            yield name, precision, f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"


def ours(program, backend, weights, x, active):
    """The same of CudaSae: cudasae bench gradients."""
    name, precision = f"cudasae, {backend}", "fp32" if backend == "cpu" else "bf16"
    with tempfile.TemporaryDirectory() as folder:
        problem, result = os.path.join(folder, "problem.safetensors"), os.path.join(folder, "result.safetensors")
        write_safetensors(problem, {"x": x, **weights})
        process = subprocess.run([program, "bench", "gradients", problem, result, "--k", str(active), "--steps", str(STEPS), "--backend", backend], capture_output=True, text=True)
        if process.returncode:
            return name, precision, (process.stderr.strip().splitlines() or [f"ended with {process.returncode}"])[-1]
        got = read_safetensors(result)
    return name, precision, ((got["loss"].item(), got), got["losses"].tolist())


def judge(answer, expected, steps, allowed):
    """Relative differences by name, and what is wrong: empty when nothing is."""
    if isinstance(answer, str):
        return {}, answer
    off = differences(answer[0], expected)
    off["five steps"] = max(abs(a - b) / abs(b) for a, b in zip(answer[1], steps))
    bad = [name for name, share in off.items() if not share <= allowed]
    return off, f"differs in {', '.join(bad)}" if bad else ""


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

    if isinstance(answers[0][2], str):
        sys.exit(f"check_peers.py: dense float32 itself does not run here: {answers[0][2]}")
    wrong, table = 0, [["peer", "precision", "loss", *NAMES, "five_steps", "allowed", "fault"]]
    for name, precision, answer in answers:
        off, fault = judge(answer, expected, answers[0][2][1], TOLERANCE[precision])
        wrong += bool(fault)
        print(f"{name:34} {' '.join(f'{n} {share:.1e}' for n, share in off.items())}  allowed {TOLERANCE[precision]:.1e}  {fault or 'ok'}")
        table.append([name, precision, *([f"{share:.3e}" for share in off.values()] or [""] * 6), f"{TOLERANCE[precision]:.3e}", fault])
    if a.csv:
        with open(a.csv, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(table)
    print("all peers compute the same step" if wrong == 0 else f"{wrong} peers compute something else")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
