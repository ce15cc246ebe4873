#!/usr/bin/env python3
"""The same TopK step by three programs on one GPU, in turn, in the same run: dense PyTorch (gpu_torch.py), a
Triton-sparse trainer (triton_sparse.py), CudaSae. No GPU has run this yet.

    python3 bench/peers/gpu_peers.py --program cudasae [--bench cudasae-bench] [--only NAME[,NAME...]]
                                     [--shapes B,d,n,k ...] [--rounds 2] [--seconds 5] [--budget 200] [--out DIR]
                                     [--agreed] [--dry]

First each contestant's loss and gradients are compared with autograd (check_peers.py). One that differs, or that could
not be compared, is skipped with the reason; cudasae is also timed when its comparison could not run. Then each round
times every contestant once at every shape, in an order that rotates; medians are of rounds, ratios of pairs within a
round. A contestant that exceeds the memory is skipped with the reason.

Each PyTorch contestant is one process for the whole run (worker.py), so that torch is imported once and each shape is
compiled once; between turns it waits and frees its memory. Compile caches on disk with a process per turn would still
pay the import, the context and Dynamo's trace in each of the turns. Cudasae is a new process in every turn.
Peak memory is measured by nvidia-smi for all contestants, with the context and without the memory of other processes.
For a worker it is the memory that it kept before its turn plus the memory that was added in it.

The script ends within --budget seconds. An attempt (a check, or a turn) has a time limit: what is left beside the
expected seconds of the other contestants' attempts, at least its own expected seconds and at most three times those
and 15 (contestants.py). A contestant that hangs is killed and skipped in the rest of the run.
The plan without options, which is for the two headline shapes and the three contestants of the headline ratios; all
seconds are estimates:

    check of cudasae, while the workers import torch (cold)        20
    check of the sparse trainer: context, five Triton kernels      12
    check of torch compiled: context, first torch.compile          40
    torch compiled, a shape: compile 20 + 5, then 2 + 5            64 for both shapes
    sparse, a shape: compile 5 + 5, then 2 + 5                     34 for both shapes
    cudasae, a turn: start and weights 4, 6 at the larger shape    21 for both shapes, both rounds
    together                                                      191, of 196

Writes after every attempt DIR/peers-B-d-n-k.csv and DIR/peers-agreement.csv, and at the start DIR/peers-versions.txt.
SHAPES of the environment, such as "4096x768x24576x32 8192x2304x65536x64", is the default of --shapes.
--only all races also the other precisions, and PyTorch without torch.compile.
--agreed takes DIR/peers-agreement.csv as an earlier run left it. --dry tries the script itself: tiny shapes on the CPU,
where nothing is compiled and the sparse trainer is its plain torch twin.
"""
import argparse
import datetime
import importlib.metadata
import os
import re
import shlex
import signal
import sys
import threading
import time

import contestants
from children import HERE, Failed, kill_all, run, smi
from race import Race

MARGIN = 4      # seconds between the end of the last attempt and the end of the budget


def package(name):
    """Returns the version of a Python package without an import, which would take seconds."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def versions(a, device):
    try:
        ours = run([a.program, "--version"], 5).strip()
    except Failed as error:
        ours = str(error)
    command = shlex.join([os.path.basename(sys.executable), *sys.argv])
    if "SHAPES" in os.environ:
        command = f"SHAPES={shlex.quote(os.environ['SHAPES'])} {command}"
    lines = {"date": datetime.date.today(), "device": device, "driver": smi("driver_version") or "none",
             "python": sys.version.split()[0], "torch": package("torch"), "triton": package("triton"),
             "cudasae": ours, "command": command}
    with open(os.path.join(a.out, "peers-versions.txt"), "w") as file:
        file.writelines(f"{name:9} {value}\n" for name, value in lines.items())


def end(message, code):
    """Ends this program and its children at once, even where a child waits for the driver and cannot end."""
    kill_all()
    print(message, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="cudasae, whose steps are timed")
    parser.add_argument("--bench", help="cudasae-bench, which gives the gradients; beside --program without it")
    parser.add_argument("--only", default=contestants.HEADLINE, help="contestants by name, with commas between; or all")
    parser.add_argument("--shapes", nargs="+", help="B,d,n,k or BxdxNxk; SHAPES of the environment without it")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5, help="timed steps of a turn, about; at most 200 steps")
    parser.add_argument("--budget", type=float, default=200, help="seconds for everything")
    parser.add_argument("--out")
    parser.add_argument("--agreed", action="store_true", help="take DIR/peers-agreement.csv of an earlier run")
    parser.add_argument("--dry", action="store_true")
    a = parser.parse_args()
    a.bench = a.bench or os.path.join(os.path.dirname(a.program), "cudasae-bench")
    try:
        everyone = contestants.field()
        names = contestants.chosen([c.name for c in everyone], a.only)
        a.shapes = contestants.shapes(a.shapes, a.dry)
    except ValueError as error:
        print(f"gpu_peers.py: {error}", file=sys.stderr)
        sys.exit(2)
    return a, [c for c in everyone if c.name in names]


def main():
    begun = time.monotonic()
    a, entrants = options()
    watchdog = threading.Timer(a.budget - 1, end, ["gpu_peers.py: stopped at the end of its budget", 1])
    watchdog.daemon = True
    watchdog.start()
    signal.signal(signal.SIGTERM, lambda *_: end("gpu_peers.py: stopped by a signal", 143))
    device = "CPU" if a.dry else smi("name")
    if device is None:
        sys.exit("gpu_peers.py needs an NVIDIA GPU and nvidia-smi; --dry tries the script on the CPU")
    folder = "dry" if a.dry else re.sub("[^a-z0-9]+", "-", device.lower()).strip("-")
    a.out = a.out or os.path.join(os.path.dirname(HERE), "results", folder)
    os.makedirs(a.out, exist_ok=True)
    versions(a, device)
    race = Race(a, entrants, begun + a.budget - MARGIN)
    try:
        race.run()
    finally:
        kill_all()
    for shape in a.shapes:
        for row in race.rows(shape):
            print("  " + ",".join(map(str, row)))
        print(f"  in {race.path(shape)}")
    untimed = [shape for shape in a.shapes if any(c.family == "ours" for c in entrants)
               and not race.results[shape].get("cudasae")]
    if untimed:
        notes = [row[-1] for row in race.rows(untimed[0]) if row[4] == "cudasae"]
        sys.exit(f"gpu_peers.py: cudasae has no time: {(notes or ['no time was left'])[0]}")


if __name__ == "__main__":
    main()
