"""Writes chunks as HoagyC's sparse_coding and OpenMOSS's Language-Model-SAEs do, with torch. PtStoreTests.cs calls it:
stores.py FOLDER

Row r of each store holds r, r + 1/8, r + 2/8, ….
"""
import sys
from pathlib import Path

import torch


def rows(first, count, width):
    return torch.arange(first, first + count, dtype=torch.float32)[:, None] + torch.arange(width) / 8


folder = Path(sys.argv[1])
for name in ("hoagy", "views", "openmoss"):
    (folder / name).mkdir()
for i in range(11):
    torch.save(rows(2 * i, 2, 3).to(torch.float16), folder / "hoagy" / f"{i}.pt")
torch.save(rows(0, 4, 6)[:, :3], folder / "views" / "0.pt")                             # rows apart
torch.save(rows(4, 12, 3).reshape(6, 2, 3)[:2], folder / "views" / "1.pt")              # a part of its storage
torch.save(rows(0, 4, 3).T.contiguous().T, folder / "transposed.pt")
for i in range(2):
    torch.save({"activation": rows(6 * i, 6, 4).reshape(2, 1, 3, 4),
                "tokens": torch.arange(100 + 6 * i, 106 + 6 * i).reshape(2, 1, 3),
                "mask": torch.tensor([[[True, True, False]], [[True, False, False]]]),
                "attention_mask": torch.ones(2, 1, 3, dtype=torch.int64),
                "meta": [[{"context_idx": 0}], [{"context_idx": 1}]]}, folder / "openmoss" / f"chunk-{i:08d}.pt")
