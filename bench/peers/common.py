"""Code that the peers on a GPU share: the starting weights, the problem on which they must agree, timing, and
safetensors in thirty lines (no package).

Letters: B rows, d width, n latents, k active. Both matrices are [n, d], a row a latent. L = sum |xhat - x|^2 / B,
xhat = relu(topk((x - b_dec) W_enc^T + b_enc)) W_dec + b_dec. Decoder rows are unit; their
gradient's radial part is removed before Adam, and they are rescaled after it. No AuxK, no clipping.
"""
import json
import statistics
import struct
import time

import torch

NAMES = ("W_enc", "W_dec", "b_enc", "b_dec")

# Allowed difference from the float32 reference, as a share of a gradient tensor's norm: 16 unit roundoffs of the
# operands. A wrong factor or a missing term exceeds it many times.
TOLERANCE = {"fp32": 16 * 2.0 ** -24 * 16, "tf32": 16 * 2.0 ** -11, "bf16": 16 * 2.0 ** -9}


def start(rows, width, latents, device, seed=0):
    """Returns the initial weights of every trainer here, and two batches. They are drawn on the device, so that large
    shapes take no time."""
    generator = torch.Generator(device=device).manual_seed(seed)
    w_dec = torch.randn(latents, width, generator=generator, device=device)
    w_dec /= w_dec.norm(dim=1, keepdim=True)
    weights = {"W_enc": 0.3 * w_dec, "W_dec": w_dec, "b_enc": torch.zeros(latents, device=device),
        "b_dec": torch.zeros(width, device=device)}
    batches = [torch.randn(rows, width, generator=generator, device=device) for _ in range(2)]
    return weights, batches


def agreement_problem(rows=48, width=128, latents=256, active=4, seed=1):
    """Returns weights and a batch, in float32 on the CPU. The k largest pre-activations exceed the others by far more
    than bfloat16's rounding, so that all precisions select the same code, and gradients can be compared number by
    number."""
    generator = torch.Generator().manual_seed(seed)
    randn = lambda *shape: torch.randn(*shape, generator=generator)
    directions = randn(latents, width)
    directions /= directions.norm(dim=1, keepdim=True)
    w_dec = directions + 0.3 * randn(latents, width) / width ** 0.5
    weights = {"W_enc": 0.8 * directions, "W_dec": w_dec / w_dec.norm(dim=1, keepdim=True),
        "b_enc": 0.02 * randn(latents), "b_dec": 0.1 * randn(width)}
    kept = []
    while len(kept) < rows:
        chosen = torch.randperm(latents, generator=generator)[:active]
        x = (torch.rand(active, generator=generator) + 1.5) @ directions[chosen] + 0.3 * randn(width) / width ** 0.5
        order = (weights["W_enc"] @ (x - weights["b_dec"]) + weights["b_enc"]).sort(descending=True).values
        if order[active - 1] - order[active] > 0.2 and order[active - 1] > 0.2:
            kept.append(x)
    return weights, torch.stack(kept), active


def reference(weights, x, active):
    """Returns loss and gradients by autograd in double, which every peer is compared with."""
    p = {name: value.double().cpu().requires_grad_() for name, value in weights.items()}
    x = x.double().cpu()
    values, index = torch.addmm(p["b_enc"], x - p["b_dec"], p["W_enc"].t()).topk(active, dim=1)
    code = torch.zeros(x.shape[0], p["W_enc"].shape[0], dtype=torch.float64).scatter(1, index, values.relu())
    loss = (code @ p["W_dec"] + p["b_dec"] - x).pow(2).sum() / x.shape[0]
    loss.backward()
    return loss.item(), {name: value.grad for name, value in p.items()}


def differences(got, expected):
    """Relative differences by name: |got - expected| / |expected| of each gradient's norm, and of the loss."""
    loss, gradients = got
    result = {"loss": abs(loss - expected[0]) / abs(expected[0])}
    for name in NAMES:
        result[name] = ((gradients[name].double().cpu() - expected[1][name]).norm() / expected[1][name].norm()).item()
    return result


def read_safetensors(path):
    """{name: float32 tensor} of a file that holds F32 alone."""
    with open(path, "rb") as file:
        data = file.read()
    length, = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"{path}: {name} is {entry['dtype']}, F32 is read here")
        begin, end = entry["data_offsets"]
        tensors[name] = torch.frombuffer(bytearray(data[8 + length + begin:8 + length + end]),
            dtype=torch.float32).reshape(entry["shape"])
    return tensors


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, tensor in sorted(tensors.items()):
        header[name] = {"dtype": "F32", "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.numel() * 4]}
        offset += tensor.numel() * 4
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in sorted(tensors.items()):
            file.write(tensor.detach().float().cpu().contiguous().numpy().tobytes())


class Ahead:
    """Copies batches from page-locked memory to the device, each during the step before, as cudasae and a careful user
    do. No step waits for a copy that could have been made."""

    def __init__(self, batches):
        self.batches, self.host = batches, [batch.cpu().pin_memory() for batch in batches]
        self.copies = torch.cuda.Stream()
        self.here, self.free = ([torch.cuda.Event() for _ in batches] for _ in range(2))
        for slot in range(len(batches)):
            self.fetch(slot)

    def fetch(self, slot):
        with torch.cuda.stream(self.copies):
            self.copies.wait_event(self.free[slot])         # an event that was never recorded does not wait
            self.batches[slot].copy_(self.host[slot], non_blocking=True)
            self.here[slot].record()

    def run(self, step, t):
        slot = t % len(self.batches)
        torch.cuda.current_stream().wait_event(self.here[slot])
        step(self.batches[slot])
        self.free[slot].record()
        self.fetch(slot)


def time_steps(step, batches, seconds, device, least=5, warmup=5):
    """Returns milliseconds of each step, measured for about `seconds` after `warmup`. On a GPU the measurement matches
    cudasae bench step: steps are queued, the host runs ahead, times run from the end of one step to the end of the
    next, and each batch is copied from page-locked memory during the step before. On the CPU the clock measures."""
    cuda = torch.device(device).type == "cuda"
    ahead = Ahead(batches) if cuda else None
    wait = torch.cuda.synchronize if cuda else lambda: None

    def run(t):
        if ahead:
            ahead.run(step, t)
        else:
            step(batches[t % 2].to(device))

    for t in range(warmup):
        wait()
        begin = time.perf_counter()
        run(t)
        wait()
        once = time.perf_counter() - begin
    count = max(least, min(200, int(seconds / once)))
    times = []
    if cuda:
        ends = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
        for t, end in enumerate(ends, warmup):
            run(t)
            end.record()
        wait()
        return [before.elapsed_time(after) for before, after in zip(ends, ends[1:])]
    for t in range(count):
        begin = time.perf_counter()
        run(t)
        times.append((time.perf_counter() - begin) * 1e3)
    return times


def measured(make, shape, seconds, device):
    """Returns milliseconds of a step at the shape B,d,n,k, of the trainer that make(weights, k) returns."""
    rows, width, latents, active = map(int, shape.split(","))
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    weights, batches = start(rows, width, latents, device)
    trainer = make(weights, active)
    times = time_steps(trainer.step, batches, seconds, device)
    return {"step": statistics.median(times), "min": min(times), "max": max(times), "steps": len(times),
            "torch": torch.__version__, "allocated_mib": torch.cuda.max_memory_allocated() / 2 ** 20 if cuda else 0,
            "loss": trainer.step(batches[0].to(device)).item()}
