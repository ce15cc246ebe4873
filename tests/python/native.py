"""Compares cudasae.py with the managed engine's results for the same rows.   native.py FOLDER

NativeTests.cs describes the contents of the folder."""
import ctypes
import os
import sys
import threading

import numpy as np

import cudasae

folder = sys.argv[1]
try:
    import torch
except ImportError:
    torch = None


def at(name):
    return os.path.join(folder, name)


def refused(expected, code, action):
    try:
        action()
    except cudasae.Error as e:
        assert expected in str(e) and "\n" not in str(e), "%r lacks %r" % (str(e), expected)
        assert e.code == code, "%s has code %d, not %d" % (e, e.code, code)
        return
    raise AssertionError("not refused: " + expected)


rows = np.load(at("rows.npy"))                          # [steps * B, d]
settings = open(at("settings.json")).read()
B = cudasae.Trainer(settings).batch_rows


def train(kind=lambda x: x):
    trainer = cudasae.Trainer(settings)
    for first in range(0, len(rows), B):
        trainer.step(kind(rows[first:first + B]))
    return trainer


def weights(path):
    return open(os.path.join(path, "sae_weights.safetensors"), "rb").read()


def training():
    with train() as trainer:
        assert trainer.steps == len(rows) // B == trainer.total_steps
        metrics = trainer.metrics()
        assert abs(metrics["loss"] - float(open(at("loss.txt")).read())) < 1e-12, metrics
        trainer.save(at("from_python"))
        assert weights(at("from_python")) == weights(at("expected_sae")), "training differs from the managed engine"
        with trainer.sae() as snapshot:
            snapshot.save(at("snapshot"))
        assert weights(at("snapshot")) == weights(at("expected_sae"))
    whole, first = cudasae.Trainer(settings), cudasae.Trainer(settings)
    half = len(rows) // B // 2 * B
    for trainer in (whole, first):
        for begin in range(0, half, B):
            trainer.step(rows[begin:begin + B])
    first.checkpoint(at("half"))
    second = cudasae.Trainer(settings)
    second.restore(at("half"))
    for trainer in (whole, second):
        trainer.step(rows[half:half + B])
    assert whole.metrics() == second.metrics()


def encoding():
    with cudasae.Sae.load(at("expected_sae"), backend="cpu") as sae:
        x = rows[:300]
        starts, indices, values = sae.encode(x)
        assert (starts.dtype, indices.dtype, values.dtype) == (np.int64, np.int32, np.float32)
        for name, found in (("starts", starts), ("indices", indices), ("values", values)):
            expected = np.load(at(name + ".npy")).ravel().astype(found.dtype)
            assert np.array_equal(found, expected), name + " differ from the managed engine"
        reconstruction = sae.reconstruct(x)
        assert np.array_equal(reconstruction, np.load(at("reconstruction.npy")))
        assert np.abs(sae.decode(starts, indices, values) - reconstruction).max() < 1e-4
        dense = sae.encode_dense(x)
        assert dense.shape == (300, sae.latents) and np.count_nonzero(dense) == len(values)
        assert dense.sum(dtype=np.float64) - values.sum(dtype=np.float64) < 1e-3
        assert len(sae.encode(x[:0])[1]) == 0
        if torch is None:
            return
        t = torch.from_numpy(x)
        assert np.array_equal(np.asarray(sae.encode(t)[1]), indices)
        assert torch.equal(sae.reconstruct(t), torch.from_numpy(reconstruction))
        assert torch.equal(sae.encode_dense(t), torch.from_numpy(dense))
        refused("contiguous()", 1, lambda: sae.encode(t[:, ::2]))
        refused("x is float16; float32 is needed", 1, lambda: sae.encode(t.half()))
        with train(torch.from_numpy) as trainer:
            trainer.save(at("from_torch"))
        assert weights(at("from_torch")) == weights(at("expected_sae"))
        with cudasae.Trainer(settings, input_type="bfloat16") as trainer:
            trainer.step(torch.from_numpy(rows[:B]).bfloat16())
            assert trainer.metrics()["loss"] > 0


def refusals():
    d = rows.shape[1]
    refused("does not exist", 2, lambda: cudasae.Sae.load(at("nowhere")))
    os.makedirs(at("twice"))
    open(os.path.join(at("twice"), "cfg.json"), "w").write('{"architecture": "topk", "architecture": "gated"}')
    open(os.path.join(at("twice"), "sae_weights.safetensors"), "wb").close()
    refused("cfg.json", 2, lambda: cudasae.Sae.load(at("twice")))
    cudasae.Sae.load(at("tiny"), backend="cpu", read_as="sae").close()
    refused("by its contents", 2, lambda: cudasae.Sae.load(at("tiny"), read_as="transcoder"))
    refused("read_as 'both' is unknown", 1, lambda: cudasae.Sae.load(at("tiny"), read_as="both"))
    refused("is not an SAE of a known format", 2, lambda: cudasae.Sae.load(at("rows.npy")))
    refused("K = 40", 1, lambda: cudasae.Trainer(input_width=8, latents=16, k=40))
    refused("no preset 'nonsense'", 1, lambda: cudasae.Trainer(preset="nonsense", input_width=8, latents=16, k=4))
    refused("latents", 1, lambda: cudasae.Trainer(input_width=8))
    refused("config.nonsense=1", 1, lambda: cudasae.Trainer(input_width=8, latents=16, k=4, config={"nonsense": 1}))
    if not os.path.exists("/dev/nvidia0"):
        refused("NVIDIA driver", 3, lambda: cudasae.Trainer(settings, backend="cuda"))
    trainer = cudasae.Trainer(settings)
    refused("no step was done" if trainer.steps else "started", 1, trainer.metrics)
    bad = rows[:B].copy()
    bad[3, 2] = np.nan
    refused("row 3", 5, lambda: trainer.step(bad))
    refused("has %d rows" % (B - 1), 1, lambda: trainer.step(rows[:B - 1]))
    refused("rows of %d numbers" % (d + 1), 1, lambda: trainer.step(np.zeros((B, d + 1), np.float32)))
    refused("float64", 1, lambda: trainer.step(rows[:B].astype(np.float64)))
    refused("not contiguous", 1, lambda: trainer.step(np.asfortranarray(rows[:B])))
    refused("list", 1, lambda: trainer.step([[1.0]]))
    refused("holds no checkpoint", 2, lambda: trainer.restore(at("nowhere")))
    refused("format 'nonsense'", 1, lambda: (trainer.step(rows[:B]), trainer.save(at("x"), "nonsense")))
    refused("cannot write", 2, lambda: trainer.save("/proc/nowhere"))
    sae = trainer.sae()
    refused("row 1", 5, lambda: sae.encode(np.stack([rows[0], rows[1] * np.float32(np.inf)])))
    refused("names latent", 1, lambda: sae.decode(np.array([0, 1]), np.array([sae.latents], np.int32),
        np.ones(1, np.float32)))
    refused("has -1 entries", 1, lambda: sae.decode(np.array([0, 2, 1]), np.array([0], np.int32),
        np.ones(1, np.float32)))

    library, stale = cudasae._library(), sae.handle
    sae.close()
    refused("closed", 1, lambda: sae.encode(rows[:1]))
    for handle, expected in ((stale, "freed"), (None, "null"), (12345, "is not valid"),
            (trainer.handle, "belongs to a trainer"), (2 ** 64 - 1, "is not valid")):
        refused(expected, 1, lambda: cudasae._call("sae_encode", handle, rows.ctypes.data, 1, d, None))
        refused(expected, 1, lambda: cudasae._call("sae_free", handle))
    for name, arguments in cudasae._FUNCTIONS.items():
        integers = (ctypes.c_int32, ctypes.c_int64, ctypes.c_size_t)
        code = getattr(library, "cudasae_" + name)(*[0 if argument in integers else None for argument in arguments])
        assert code == 1 and library.cudasae_last_error(), name


def threads():
    """Two trainers run at once, and each equals one that runs alone. Each thread has its own last error."""
    failures = []

    def work(name):
        try:
            for _ in range(3):
                with train() as trainer:
                    trainer.save(at(name))
                assert weights(at(name)) == weights(at("expected_sae"))
                refused(name + " does not exist", 2, lambda: cudasae.Sae.load(name))
        except BaseException as e:
            failures.append(e)

    both = [threading.Thread(target=work, args=("thread%d" % i,)) for i in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert not failures, failures


def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def leaks():
    """4,000 loads and frees of a tiny SAE leave the process as large as 2,000 did. Before that the collector's heap
    still grows, to a size that depends on the processor's caches."""
    for i in range(4000):
        with cudasae.Sae.load(at("tiny"), backend="cpu", batch_rows=4) as sae:
            sae.encode(rows[:2, :sae.input_width].copy())
        if i == 1999:
            before = resident()
    grown = (resident() - before) / 1e6
    print("grown by %.1f MB" % grown)
    assert grown < 40, "2,000 later loads took %.1f MB" % grown


def device():
    """Rows in the emulated device's memory, given by pointer and stream, have the same results as rows in host memory,
    bit for bit, also from two threads at once."""
    emulator = os.environ.get("CUDASAE_EMULATOR")
    if not emulator:
        print("no emulator here")
        return
    driver, pointer = ctypes.CDLL(emulator), ctypes.c_uint64()
    stream = ctypes.c_void_p()
    d, steps = rows.shape[1], 3
    with cudasae.Trainer(settings, backend="emulator") as host, cudasae.Trainer(settings, backend="emulator") as lent:
        assert driver.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(rows[:B].nbytes)) == 0
        assert driver.cuStreamCreate(ctypes.byref(stream), 1) == 0
        for step in range(steps):
            x = rows[step * B:(step + 1) * B]
            host.step(x)
            assert driver.cuMemcpyHtoDAsync_v2(pointer, ctypes.c_void_p(x.ctypes.data), ctypes.c_size_t(x.nbytes),
                stream) == 0
            failures = []

            def work():
                try:
                    cudasae._call("trainer_step_device", lent.handle, pointer.value, B, d, stream)
                except cudasae.Error as e:
                    failures.append(e)
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            assert not failures, failures
            # NaN, written after the step has copied its rows
            assert driver.cuMemsetD32Async(pointer, 0x7fc00000, ctypes.c_size_t(B * d), stream) == 0
        assert host.metrics() == lent.metrics()
        host.save(at("host"))
        lent.save(at("lent"))
        assert weights(at("host")) == weights(at("lent"))
        with lent.sae(batch_rows=B) as sae:
            x, total = rows[:B], ctypes.c_int64()
            assert driver.cuMemcpyHtoDAsync_v2(pointer, ctypes.c_void_p(x.ctypes.data), ctypes.c_size_t(x.nbytes),
                stream) == 0
            expected = sae.encode(x)
            cudasae._call("sae_encode_device", sae.handle, pointer.value, B, d, stream, ctypes.byref(total))
            assert all(np.array_equal(a, b) for a, b in zip(expected, sae._codes("numpy", B, total.value)))
        driver.cuMemFree_v2(pointer)
        driver.cuStreamDestroy_v2(stream)
    with cudasae.Trainer(settings) as trainer:
        refused("device memory", 1, lambda: cudasae._call("trainer_step_device", trainer.handle, 4096, B, d, None))


for part in (training, encoding, refusals, threads, leaks, device):
    part()
    print(part.__name__, "ok")
