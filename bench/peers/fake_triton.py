"""A stand-in on the CPU for the part of Triton that triton_kernels.py uses: a kernel is its Python source run once for
each program, and a pointer is a flat tensor and an offset. It shows that the kernels' indices, masks and sums are
right, and nothing about how Triton compiles them. Loads and stores outside a tensor are errors.

    import fake_triton; fake_triton.install()       # before triton_kernels is imported
"""
import itertools
import sys
import types

import torch


class Pointer:
    def __init__(self, memory, offset=0):
        self.memory, self.offset = memory, offset
        self.dtype = types.SimpleNamespace(element_ty=memory.dtype)

    def __add__(self, offset):
        return Pointer(self.memory, self.offset + offset)


def place(pointer, mask):
    offset = torch.as_tensor(pointer.offset)
    if mask is not None:
        offset, mask = torch.broadcast_tensors(offset, mask)
        outside = ((offset < 0) | (offset >= pointer.memory.numel())) & mask
        offset = torch.where(mask, offset, torch.zeros_like(offset))
    else:
        outside = (offset < 0) | (offset >= pointer.memory.numel())
    if outside.any():
        raise IndexError(f"a kernel reaches {offset[outside].tolist()[:4]} of {pointer.memory.numel()} elements")
    return offset.long()


def load(pointer, mask=None, other=0.0):
    value = pointer.memory[place(pointer, mask)]
    return value if mask is None else torch.where(mask, value, torch.full_like(value, other))


def store(pointer, value, mask=None):
    offset, value = place(pointer, mask), torch.as_tensor(value)
    if value.dtype.is_floating_point and value.dtype != pointer.memory.dtype and pointer.memory.dtype == torch.bfloat16:
        raise TypeError("a kernel stores float32 in a bfloat16 tensor: use .to(...)")
    value = value.to(pointer.memory.dtype)
    if mask is None:
        pointer.memory[offset] = value
    else:
        offset, value, mask = torch.broadcast_tensors(offset, value, mask)
        pointer.memory[offset[mask]] = value[mask]


class Kernel:
    def __init__(self, body):
        self.body = body

    def __getitem__(self, grid):
        def run(*arguments, num_warps=4, **constants):
            given = [Pointer(a.detach().view(-1)) if isinstance(a, torch.Tensor) else a for a in arguments]
            for language.program in itertools.product(*(range(extent) for extent in grid)):
                self.body(*given, **constants)
        return run


class Range:
    """A range over scalars that kernels loaded."""

    def __new__(cls, *bounds):
        return range(*(int(b) for b in bounds))


language = types.ModuleType("triton.language")
language.program = ()
language.program_id = lambda axis: torch.tensor(language.program[axis])
language.arange = torch.arange
language.zeros = lambda shape, dtype: torch.zeros(shape, dtype=dtype)
language.sum = torch.sum
language.sqrt = torch.sqrt
language.where = lambda condition, a, b: torch.where(torch.as_tensor(condition),
    torch.as_tensor(a, dtype=torch.float32), torch.as_tensor(b, dtype=torch.float32))
language.static_range = range
language.load, language.store = load, store
language.constexpr = object()
language.float32, language.int64 = torch.float32, torch.int64


def install():
    fake = types.ModuleType("triton")
    fake.jit, fake.language, fake.next_power_of_2 = Kernel, language, lambda n: 1 << (n - 1).bit_length()
    sys.modules["triton"], sys.modules["triton.language"] = fake, language
    import triton_kernels
    triton_kernels.range = Range
