#!/usr/bin/env python3
"""A sparse TopK trainer in PyTorch and Triton, as good as the published ones: dense encode and torch.topk, then sparse
decode, sampled products, gradients over entries sorted by latent, and fused dense Adam. Its kernels are in
triton_kernels.py. It computes the same step as gpu_torch.py and as CudaSae.

    python3 bench/peers/triton_sparse.py --precision fp32|bf16 --shape B,d,n,k [--seconds 8] [--device cuda|cpu]
    python3 bench/peers/triton_sparse.py --precision ... --gradients PROBLEM OUT --k k

bf16: float32 weights and Adam state, bfloat16 copies for the product and the gathers, float32 sums, as in CudaSae;
pre-activations are bfloat16, as in the published trainers. --device cpu uses the plain torch twin of each kernel, under
the same name. Neither the kernels nor this file have run on a GPU yet.
"""
import argparse
import json

import torch

from common import NAMES, measured, read_safetensors, write_safetensors


class TorchOps:
    """The kernels' algorithms in plain torch."""

    @staticmethod
    def decode_rows(index, value, w_dec, b_dec, x, dtype):
        residual = (w_dec[index.long()].float() * value.unsqueeze(2)).sum(1) + b_dec - x
        return residual.to(dtype), residual.pow(2).sum(1)

    @staticmethod
    def value_gradients(index, value, w_dec, residual, scale):
        dots = (w_dec[index.long()].float() * residual.float().unsqueeze(1)).sum(2)
        return torch.where(value > 0, scale * dots, torch.zeros_like(dots))

    @staticmethod
    def latent_gradients(offsets, order, value, gradient, residual, x_centered, scale, into):
        active = value.shape[1]
        latent = torch.repeat_interleave(torch.arange(len(offsets) - 1, device=order.device), offsets.diff().long())
        row, v, g = order // active, value.flatten()[order], gradient.flatten()[order]
        into["W_dec"].zero_().index_add_(0, latent, scale * v.unsqueeze(1) * residual.float()[row])
        into["W_enc"].zero_().index_add_(0, latent, g.unsqueeze(1) * x_centered.float()[row])
        into["b_enc"].zero_().index_add_(0, latent, g)

    @staticmethod
    def project_rows(gradient, rows):
        gradient -= (gradient * rows).sum(1, keepdim=True) * rows

    @staticmethod
    def renormalise_rows(rows, shadow):
        rows /= rows.norm(dim=1, keepdim=True)
        shadow.copy_(rows)


class TritonOps:
    """The same operations by triton_kernels.py."""

    def __init__(self):
        import triton
        import triton_kernels
        self.kernels, self.power = triton_kernels, triton.next_power_of_2

    def row_block(self, width):
        block = self.power(width)
        return {"BLOCK": block, "num_warps": max(1, min(16, block // 256))}

    def decode_rows(self, index, value, w_dec, b_dec, x, dtype):
        rows, width = x.shape
        residual, error = torch.empty(rows, width, dtype=dtype, device=x.device), torch.empty(rows, device=x.device)
        self.kernels.decode_rows[(rows,)](index, value, w_dec, b_dec, x, residual, error, width, K=value.shape[1],
            **self.row_block(width))
        return residual, error

    def value_gradients(self, index, value, w_dec, residual, scale):
        gradient = torch.empty_like(value)
        self.kernels.value_gradients[(len(value),)](index, value, w_dec, residual, gradient, residual.shape[1], scale,
            K=value.shape[1], **self.row_block(residual.shape[1]))
        return gradient

    def latent_gradients(self, offsets, order, value, gradient, residual, x_centered, scale, into):
        width = residual.shape[1]
        block = min(512, self.power(width))
        self.kernels.latent_gradients[(len(offsets) - 1, -(-width // block))](
            offsets, order, value, gradient, residual, x_centered, into["W_enc"], into["W_dec"], into["b_enc"], width,
            scale, K=value.shape[1], BLOCK=block, num_warps=4 if block >= 512 else 2)

    def project_rows(self, gradient, rows):
        self.kernels.project_rows[(len(rows),)](gradient, rows, rows.shape[1], **self.row_block(rows.shape[1]))

    def renormalise_rows(self, rows, shadow):
        self.kernels.renormalise_rows[(len(rows),)](rows, shadow, rows.shape[1], **self.row_block(rows.shape[1]))


class SparseTopK:
    """weights: float32 tensors by name, on the device; they are trained in place."""

    def __init__(self, weights, active, precision, ops, learning_rate=1e-3):
        torch.set_float32_matmul_precision("highest")
        self.p, self.active, self.ops = {name: weights[name].contiguous() for name in NAMES}, active, ops
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        for parameter in self.p.values():
            parameter.requires_grad_()
            parameter.grad = torch.zeros_like(parameter)
        cuda = self.p["W_enc"].is_cuda
        self.adam = torch.optim.Adam(self.p.values(), lr=learning_rate, **({"fused": True} if cuda else {}))
        # In float32 the operands are the weights themselves.
        self.w_enc, self.w_dec = (
            self.p[name].detach() if self.dtype == torch.float32 else self.p[name].detach().to(self.dtype)
            for name in ("W_enc", "W_dec"))
        self.latents = torch.arange(len(self.p["W_enc"]) + 1, device=self.p["W_enc"].device, dtype=torch.int32)

    @torch.no_grad()
    def gradients(self, x):
        """Leaves the gradients in .grad and returns the loss."""
        p, rows = self.p, x.shape[0]
        x_centered = (x - p["b_dec"]).to(self.dtype)
        z = torch.addmm(p["b_enc"].to(self.dtype), x_centered, self.w_enc.t())
        values, index = z.topk(self.active, dim=1, sorted=False)
        value, index = values.float().relu(), index.to(torch.int32)
        residual, error = self.ops.decode_rows(index, value, self.w_dec, p["b_dec"], x, self.dtype)
        scale = 2.0 / rows
        gradient = self.ops.value_gradients(index, value, self.w_dec, residual, scale)
        latent, order = torch.sort(index.flatten(), stable=True)
        offsets = torch.searchsorted(latent, self.latents).to(torch.int32)
        self.ops.latent_gradients(offsets, order, value, gradient, residual, x_centered, scale,
            {name: p[name].grad for name in ("W_enc", "W_dec", "b_enc")})
        # b_dec is added to the reconstruction and taken from the input.
        p["b_dec"].grad.copy_(scale * residual.sum(0, dtype=torch.float32) - p["b_enc"].grad @ p["W_enc"])
        return error.sum() / rows

    @torch.no_grad()
    def step(self, x):
        loss = self.gradients(x)
        self.ops.project_rows(self.p["W_dec"].grad, self.p["W_dec"])
        self.adam.step()
        self.ops.renormalise_rows(self.p["W_dec"], self.w_dec)
        if self.dtype != torch.float32:
            self.w_enc.copy_(self.p["W_enc"])
        return loss


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--shape", help="B,d,n,k")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--gradients", nargs=2, metavar=("PROBLEM", "OUT"))
    parser.add_argument("--k", type=int)
    a = parser.parse_args()
    ops = TritonOps() if a.device.startswith("cuda") else TorchOps()
    if a.gradients:
        problem = {name: tensor.to(a.device) for name, tensor in read_safetensors(a.gradients[0]).items()}
        x = problem.pop("x")
        trainer = SparseTopK(problem, a.k, a.precision, ops)
        loss = trainer.gradients(x)
        write_safetensors(a.gradients[1], {"loss": loss.reshape(1), **{name: trainer.p[name].grad for name in NAMES}})
        return
    print(json.dumps(measured(lambda w, k: SparseTopK(w, k, a.precision, ops), a.shape, a.seconds, a.device)))


if __name__ == "__main__":
    main()
