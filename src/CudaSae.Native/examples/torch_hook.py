"""Trains on the activations of a torch model in a forward hook, without storing or copying them.

    export CUDASAE_LIBRARY=artifacts/native/libcudasae.so PYTHONPATH=artifacts/native
    python3 src/CudaSae.Native/examples/torch_hook.py

On a GPU the trainer reads the model's tensors in place, in the order of torch's current stream.
"""
import os
import sys
import tempfile

import torch

import cudasae

WIDTH, TOKENS, SEQUENCES, STEPS = 64, 32, 16, 250
BATCH = TOKENS * SEQUENCES


class Block(torch.nn.Module):
    """A transformer block. The hook is on its MLP."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = torch.nn.LayerNorm(WIDTH), torch.nn.LayerNorm(WIDTH)
        self.attention = torch.nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        self.mlp = torch.nn.Sequential(torch.nn.Linear(WIDTH, 4 * WIDTH), torch.nn.GELU(),
                                       torch.nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, normed, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


def main():
    torch.manual_seed(0)
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    model = torch.nn.Sequential(torch.nn.Embedding(100, WIDTH), Block(), Block()).to(device).eval()
    words = 1 / torch.arange(1, 101, dtype=torch.float32)           # a few words are frequent, most are rare

    trainer = cudasae.Trainer(preset="topk", input_width=WIDTH, latents=512, k=8,
                              config={"batch_rows": BATCH, "vectors": BATCH * STEPS},
                              backend="cuda" if device != "cpu" else "cpu")
    print("training on", trainer.description)

    def hook(module, inputs, output):
        trainer.step(output.reshape(BATCH, WIDTH))

    handle = model[1].mlp.register_forward_hook(hook)
    first = None
    with torch.no_grad():
        for step in range(1, STEPS + 1):
            model(torch.multinomial(words, BATCH, replacement=True).reshape(SEQUENCES, TOKENS).to(device))
            if step == 1 or step % 50 == 0:
                fvu = trainer.metrics()["fvu"]
                first = first or fvu
                print("step %d: FVU %.4f" % (step, fvu))
    handle.remove()
    assert fvu < 0.5 * first, "the SAE did not learn: FVU %.4f, at first %.4f" % (fvu, first)

    kept = {}
    handle = model[1].mlp.register_forward_hook(
        lambda module, inputs, output: kept.update(x=output.reshape(-1, WIDTH).cpu()))
    with torch.no_grad():
        model(torch.multinomial(words, BATCH, replacement=True).reshape(SEQUENCES, TOKENS).to(device))
    handle.remove()
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(tempfile.mkdtemp(), "sae")
    trainer.save(folder)
    trainer.close()
    with cudasae.Sae.load(folder) as sae:
        x = kept["x"]
        row_starts, indices, values = sae.encode(x)
        assert len(indices) <= 8 * BATCH and len(row_starts) == BATCH + 1
        error = sae.reconstruct(x) - x
        unexplained = float((error ** 2).sum() / ((x - x.mean(0)) ** 2).sum())
        print("loaded from %s: FVU %.4f on new rows, L0 %.2f" % (folder, unexplained, len(indices) / BATCH))
        assert unexplained < 0.5 * first


main()
