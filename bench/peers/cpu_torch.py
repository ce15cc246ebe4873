#!/usr/bin/env python3
"""Measures the same TopK step in eager PyTorch and in CudaSae, on this machine's CPU, in turn: medians, ratio pair by
pair, peak memory.

    apt-get install python3-torch libopenblas0-pthread
    dotnet build -c Release && python3 bench/peers/cpu_torch.py [--rounds 5] [--csv FILE]

PyTorch's step is written as a careful user writes it: torch.topk, scatter, dense autograd, Adam (foreach off in 1.13),
unit-norm decoder with the gradient's radial part removed. Neither side has AuxK. OPENBLAS_CORETYPE names
OpenBLAS's best kernels for AVX-512.
"""
import argparse, json, os, statistics, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SHAPES = [(1024, 512, 4096, 32), (1024, 768, 8192, 32)]


def torch_step(rows, width, latents, active, steps):
    import torch
    torch.manual_seed(0)
    torch.set_num_threads(2)
    w_dec = torch.nn.functional.normalize(torch.randn(latents, width), dim=1).requires_grad_()
    w_enc = w_dec.detach().clone().requires_grad_()
    b_enc, b_dec = torch.zeros(latents, requires_grad=True), torch.zeros(width, requires_grad=True)
    adam = torch.optim.Adam([w_enc, w_dec, b_enc, b_dec], lr=1e-3)
    x = torch.randn(rows, width)
    times = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        preacts = torch.addmm(b_enc, x - b_dec, w_enc.t())
        values, index = preacts.topk(active, dim=1, sorted=False)
        code = torch.zeros_like(preacts).scatter(1, index, values.relu())
        error = code @ w_dec + b_dec - x
        loss = error.pow(2).sum() / rows
        adam.zero_grad(set_to_none=True)
        loss.backward()
        with torch.no_grad():
            w_dec.grad -= (w_dec.grad * w_dec).sum(1, keepdim=True) * w_dec
            adam.step()
            w_dec /= w_dec.norm(dim=1, keepdim=True)
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps({"step": statistics.median(times[2:]), "version": torch.__version__}))


def measure(command, env=None):
    """Runs a command and returns its JSON line and its peak resident memory in MiB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **(env or {})}, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    return json.loads(output.strip().splitlines()[-1]), usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv")
    parser.add_argument("--torch", nargs=5, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch:
        return torch_step(*arguments.torch)
    program = os.path.join(ROOT, "artifacts/bin/CudaSae.Cli/release/cudasae")
    lines = ["rows,width,latents,active,torch_ms,cudasae_ms,ratio_median,ratio_min,ratio_max,torch_mib,cudasae_mib,"
             "memory_ratio"]
    for shape in SHAPES:
        rows, width, latents, active = shape
        torch_ms, ours_ms, torch_mib, ours_mib = [], [], [], []
        for _ in range(arguments.rounds):
            result, memory = measure([sys.executable, os.path.abspath(__file__), "--torch", *map(str, shape), "10"],
                {"OPENBLAS_CORETYPE": "SkylakeX", "OMP_NUM_THREADS": "2"})
            torch_ms.append(result["step"]); torch_mib.append(memory)
            result, memory = measure([program, "bench", "--json", "--backend", "cpu", "--aux-k", "0", "--batch-rows",
                str(rows), "--input-width", str(width), "--latents", str(latents), "--k", str(active)])
            ours_ms.append(result["step"]); ours_mib.append(memory)
        ratios = [a / b for a, b in zip(torch_ms, ours_ms)]
        m = statistics.median
        print(f"B {rows}, d {width}, n {latents}, k {active}: torch {m(torch_ms):.1f} ms, cudasae {m(ours_ms):.1f} ms, "
              f"{m(ratios):.2f} times faster ({min(ratios):.2f} to {max(ratios):.2f}); peak memory "
              f"{m(torch_mib):.0f} and {m(ours_mib):.0f} MiB, {m(ours_mib) / m(torch_mib):.2f} of it")
        lines.append(
            f"{rows},{width},{latents},{active},{m(torch_ms):.2f},{m(ours_ms):.2f},{m(ratios):.3f},{min(ratios):.3f},"
            f"{max(ratios):.3f},{m(torch_mib):.0f},{m(ours_mib):.0f},{m(ours_mib) / m(torch_mib):.3f}")
    if arguments.csv:
        with open(arguments.csv, "w") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
