#!/usr/bin/env python3
"""One contestant of gpu_peers.py in a process that stays over rounds and shapes, so that torch is imported once and
every shape is compiled once. It reads a JSON line, {"do": "check"}, {"do": "time", "shape": ..., "seconds": ...} or
{"do": "free"}, and answers with one; {"fault": ...} gives the reason of a failure.

    python3 bench/peers/worker.py "torch bf16 compiled" [--dry]

After "time" the GPU memory stays cached until "free", so that the asker reads the peak between the two.
"""
import ctypes
import gc
import json
import os
import signal
import sys

import contestants


def trainer_maker(contestant, device):
    """Returns a function (weights, active) -> trainer."""
    if contestant.family == "dense":
        from gpu_torch import DenseTopK
        compiled = contestant.compiled and device == "cuda"
        return lambda weights, active: DenseTopK(weights, active, contestant.precision, compiled)
    from triton_sparse import SparseTopK, TorchOps, TritonOps
    ops = TritonOps() if device == "cuda" else TorchOps()
    return lambda weights, active: SparseTopK(weights, active, contestant.precision, ops)


def answer(question, contestant, device):
    import torch
    if question["do"] == "free":
        gc.collect()        # a trainer and its compiled methods refer to each other
        if device == "cuda":
            torch.cuda.empty_cache()
        return {}
    make = trainer_maker(contestant, device)
    if question["do"] == "check":
        from check_peers import Agreement, row
        agreement = Agreement()
        off, fault = agreement.judge(contestant.precision, agreement.answer(make, device))
        return {"row": row(contestant.name, contestant.precision, off, fault)}
    from common import measured
    return measured(make, question["shape"], question["seconds"], device)


def main():
    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    # Input and output of a compiler must not mix with requests and answers.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG: ends with gpu_peers.py
    dry = "--dry" in sys.argv[2:]
    contestant = next(c for c in contestants.field() if c.name == sys.argv[1])
    trainer_maker(contestant, "cpu" if dry else "cuda")      # imports torch while the others are checked
    for line in questions:
        try:
            result = answer(json.loads(line), contestant, "cpu" if dry else "cuda")
        except Exception as error:      # any error of a compiler or a driver; this contestant is skipped
            out_of_memory = "out of memory" in str(error).lower()
            result = {"fault": "out of memory" if out_of_memory else contestants.in_a_line(error)}
        print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    main()
