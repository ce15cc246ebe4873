#!/usr/bin/env python3
"""The same TopK step by three programs on one GPU, in turn, in the same run: dense PyTorch (gpu_torch.py), a Triton-sparse trainer (triton_sparse.py), CudaSae.

    python3 bench/peers/gpu_peers.py --program cudasae [--shapes B,d,n,k ...] [--rounds 3] [--seconds 8] [--budget 540] [--out DIR] [--dry]

First check_peers.py holds loss and gradients of each against autograd; who differs is left out, with the reason. Then each round runs every contestant once, each in a process of its own, in an order that
rotates; medians are of rounds, ratios of pairs within a round. Peak memory is what nvidia-smi sees beyond what was in use before, context included, for all alike. What does
not fit is left out with the reason. Writes DIR/peers-B-d-n-k.csv after every round, and DIR/peers-versions.txt. No GPU has run this yet.

--dry: tiny shapes on the CPU, where the sparse trainer is its plain torch twin, to try the script itself.
"""
import argparse
import csv
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPES = ["4096,768,24576,32", "8192,2304,65536,64", "8192,4096,1048576,64", "32768,4096,131072,64"]
DRY_SHAPES = ["64,64,512,8"]


def smi(query):
    """One number or name of nvidia-smi; None where there is none."""
    try:
        return subprocess.run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"], check=True, capture_output=True, text=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def smi_number(query):
    """A number of nvidia-smi; None also where it answers in words, as it does for what a part of a divided GPU may not see."""
    try:
        return float(smi(query))
    except (TypeError, ValueError):
        return None


def contestants(dry):
    """(name, precision, family, name in check_peers.py)."""
    if dry:
        return [("torch fp32", "fp32", "dense", "torch fp32"), ("torch bf16", "bf16", "dense", "torch bf16"), ("sparse fp32", "fp32", "sparse", "sparse fp32, plain torch"),
                ("cudasae", "fp32", "ours", "cudasae, cpu")]
    dense = [(f"torch {p}{c}", p, "dense", f"torch {p}{c}") for p in ("fp32", "tf32", "bf16") for c in ("", " compiled")]
    return dense + [("sparse bf16", "bf16", "sparse", "sparse bf16, Triton"), ("cudasae", "bf16", "ours", "cudasae, cuda")]


def command(name, precision, family, shape, a):
    device = "cpu" if a.dry else "cuda"
    if family == "ours":
        rows, width, latents, active = shape.split(",")
        return [a.program, "bench", "step", "--json", "--backend", "cpu" if a.dry else "cuda", "--aux-k", "0", "--batch-rows", rows, "--input-width", width, "--latents", latents, "--k", active]
    script = "gpu_torch.py" if family == "dense" else "triton_sparse.py"
    return [sys.executable, os.path.join(HERE, script), "--precision", precision, "--shape", shape, "--seconds", str(a.seconds), "--device", device] + (["--compile"] if "compiled" in name else [])


def needed_bytes(precision, family, shape):
    """What a contestant must hold at least: weights, gradients and Adam's two moments in float32, low-precision copies, and the [B, n] arrays alive at once."""
    rows, width, latents, _ = map(int, shape.split(","))
    weights, preacts, size = 2 * latents * width, rows * latents, 2 if precision == "bf16" else 4
    if family == "ours":
        return 12 * weights                     # weights as two halves, two moments; no gradients, no [B, n]
    copies = 2 * weights if precision == "bf16" else 0
    # Dense: pre-activations, code, both their gradients. Sparse: pre-activations alone.
    return 16 * weights + copies + (4 if family == "dense" else 1) * preacts * size


class PeakMemory(threading.Thread):
    """The most that nvidia-smi shows in use while this runs, beyond what was in use at the start, MiB."""

    def __init__(self):
        super().__init__(daemon=True)
        self.base, self.peak, self.over = smi_number("memory.used") or 0.0, 0.0, threading.Event()

    def run(self):
        while not self.over.is_set():
            used = smi_number("memory.used")
            if used is None:
                return
            self.peak = max(self.peak, used - self.base)
            self.over.wait(0.2)     # allocations stay; more questions would only take the driver's time from the contestant


def measure(arguments, limit):
    """(JSON answer, peak MiB), or (None, why there is none)."""
    memory = PeakMemory()
    memory.start()
    try:
        process = subprocess.run(arguments, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return None, f"took more than {limit:.0f} s"
    except OSError as error:
        return None, f"{arguments[0]}: {error.strerror}"
    finally:
        memory.over.set()
        memory.join()
    lines = process.stdout.strip().splitlines()
    if process.returncode or not lines:
        errors = process.stderr.strip().splitlines()
        return None, "out of memory" if "out of memory" in process.stderr.lower() else (errors[-1][:200] if errors else f"ended with {process.returncode}")
    return json.loads(lines[-1]), memory.peak


def write_csv(path, shape, results, skipped):
    lines = ["rows,width,latents,active,contestant,rounds,median_ms,min_ms,max_ms,times_cudasae_median,times_cudasae_min,times_cudasae_max,peak_mib,note"]
    ours = results.get("cudasae", {})
    for name, rounds in results.items():
        ms = [answer["step"] for answer, _ in rounds.values()]
        ratios = [answer["step"] / ours[r][0]["step"] for r, (answer, _) in rounds.items() if r in ours]
        numbers = [f"{statistics.median(ms):.4f}", f"{min(ms):.4f}", f"{max(ms):.4f}"] + ([f"{statistics.median(ratios):.3f}", f"{min(ratios):.3f}", f"{max(ratios):.3f}"] if ratios else ["", "", ""])
        lines.append(f"{shape},{name},{len(ms)},{','.join(numbers)},{max(peak for _, peak in rounds.values()):.0f},")
    lines += [f"{shape},{name},0,,,,,,,,\"{why}\"" for name, why in skipped.items()]
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")
    return lines[1:]


def race(shape, a, until, faults):
    """Rounds of one shape while time lasts; a contestant that failed once is not tried again. Why CudaSae has no time, if it has none."""
    results, longest = {}, 0.0
    skipped = {name: f"not compared: {faults[checked]}" for name, _, _, checked in contestants(a.dry) if faults.get(checked)}
    free = smi_number("memory.free")
    field = contestants(a.dry)
    for name, precision, family, _ in field:
        need = needed_bytes(precision, family, shape) / 2 ** 20
        if free and need > free:
            skipped[name] = f"needs at least {need / 1024:.0f} GiB, {free / 1024:.0f} are free"
    path = os.path.join(a.out, f"peers-{shape.replace(',', '-')}.csv")
    for r in range(a.rounds):
        begin = time.monotonic()
        if r and begin + longest > until:
            print(f"  {shape}: stopped after {r} rounds, the time budget is spent")
            break
        for i in range(len(field)):
            name, precision, family, _ = field[(i + r) % len(field)]
            if name in skipped:
                continue
            answer, peak = measure(command(name, precision, family, shape, a), max(30.0, until - time.monotonic()))
            if answer is None:
                skipped[name] = peak
                print(f"  {shape}: {name}: {peak}")
            else:
                results.setdefault(name, {})[r] = (answer, peak)
                print(f"  {shape}: round {r + 1}, {name}: {answer['step']:.3f} ms", flush=True)
        longest = max(longest, time.monotonic() - begin)
        write_csv(path, shape, results, skipped)
    for line in write_csv(path, shape, results, skipped):
        print("  " + line)
    print(f"  in {path}")
    return skipped.get("cudasae")


def versions(a):
    import torch
    try:
        import triton
        found = triton.__version__
    except ImportError:
        found = "none"
    ours = subprocess.run([a.program, "--version"], capture_output=True, text=True).stdout.strip()
    with open(os.path.join(a.out, "peers-versions.txt"), "w") as file:
        file.write(f"date      {datetime.date.today()}\ndevice    {smi('name') or 'CPU'}\ndriver    {smi('driver_version') or 'none'}\ntorch     {torch.__version__}\ntriton    {found}\ncudasae   {ours}\n"
                   f"command   {' '.join(sys.argv)}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--shapes", nargs="+", default=None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--budget", type=float, default=540, help="seconds for everything; no round begins that would not end within it")
    parser.add_argument("--out")
    parser.add_argument("--agreed", action="store_true", help="take OUT/peers-agreement.csv as an earlier run left it: compiling every peer for the check takes minutes")
    parser.add_argument("--dry", action="store_true")
    a = parser.parse_args()
    until = time.monotonic() + a.budget
    name = "dry" if a.dry else smi("name")
    if name is None:
        sys.exit("gpu_peers.py needs an NVIDIA GPU and nvidia-smi; --dry tries the script on the CPU")
    a.out = a.out or os.path.join(os.path.dirname(HERE), "results", re.sub("[^a-z0-9]+", "-", name.lower()).strip("-"))
    os.makedirs(a.out, exist_ok=True)
    versions(a)
    backend = ["--device", "cpu", "--backend", "cpu"] if a.dry else ["--device", "cuda", "--backend", "cuda"]
    agreement = os.path.join(a.out, "peers-agreement.csv")
    if not a.agreed:
        if os.path.exists(agreement):
            os.remove(agreement)
        subprocess.run([sys.executable, os.path.join(HERE, "check_peers.py"), *backend, "--program", a.program, "--csv", agreement])
    if not os.path.exists(agreement):
        sys.exit("gpu_peers.py: check_peers.py did not finish, so nothing is timed; see the lines above")
    with open(agreement, newline="") as file:
        faults = {row["peer"]: row["fault"] for row in csv.DictReader(file)}
    failed = [why for shape in a.shapes or (DRY_SHAPES if a.dry else SHAPES) if (why := race(shape, a, until, faults))]
    sys.exit(f"cudasae: {failed[0]}" if failed else 0)


if __name__ == "__main__":
    main()
