"""CudaSae for Python: trains and runs sparse autoencoders on numpy arrays and torch tensors, which are read in place.

    import cudasae
    with cudasae.Trainer(preset="topk", input_width=768, latents=16384, k=32,
                         config={"batch_rows": 1024, "vectors": 10_000_000}) as trainer:
        for x in batches:                       # [1024, 768], float32
            trainer.step(x)
        trainer.save("sae")
    with cudasae.Sae.load("sae") as sae:
        row_starts, indices, values = sae.encode(x)

The module wraps libcudasae.so, which is beside it or at the path in the environment variable CUDASAE_LIBRARY. It needs
Python 3.8, and numpy or torch. An object is for one thread at a time. Different objects may be used in parallel,
because calls release Python's lock. Do not fork after the first object.
"""
import ctypes
import json
import os
import sys

__all__ = ["Trainer", "Sae", "Error", "version"]

ABI_VERSION = 1
_BACKENDS = {"auto": 0, "cuda": 1, "cpu": 2, "emulator": 3}
_KINDS = {None: 0, "sae": 1, "transcoder": 2}
_INPUT_TYPES = ("float32", "float16", "bfloat16")
_NORMALIZATIONS = ("none", "layer_norm", "constant_norm")


class Error(Exception):
    """A refused call. The message comes from the engine, or from this module if the arguments cannot be passed on.

    code: 1 invalid argument, 2 files, 3 device, 4 memory, 5 numbers (NaN or infinity), 6 a bug of the library."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code


# ---- the library ----

class _SaeInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("input_width", "output_width", "latents", "batch_rows")] \
        + [("normalization", ctypes.c_int32), ("reserved", ctypes.c_int32), ("description", ctypes.c_char * 256)]


class _TrainerInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("row_width", "input_width", "output_width", "latents", "batch_rows",
                                                    "total_steps", "steps")] \
        + [("input_type", ctypes.c_int32), ("reserved", ctypes.c_int32), ("description", ctypes.c_char * 256)]


class _Metrics(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in (
        "step", "vectors", "loss", "fvu", "l0", "dead_percent", "aux_loss", "sparsity", "gate_loss", "coefficient",
        "shrinkage", "gradient_norm", "learning_rate", "overflows", "dense", "replaced_rows")]


_WHOLE = ("step", "vectors", "overflows", "replaced_rows")      # metrics that are integers

_handle, _pointer, _text = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p
_int, _long, _size = ctypes.c_int32, ctypes.c_int64, ctypes.c_size_t

_FUNCTIONS = {
    "sae_load": (_text, _int, _long, _pointer),
    "sae_load_as": (_text, _int, _int, _long, _pointer),
    "sae_get_info": (_handle, _pointer, _size),
    "sae_encode": (_handle, _pointer, _long, _long, _pointer),
    "sae_encode_device": (_handle, _pointer, _long, _long, _pointer, _pointer),
    "sae_reconstruct": (_handle, _pointer, _long, _long, _pointer, _long, _pointer),
    "sae_codes": (_handle, _pointer, _long, _pointer, _pointer, _long),
    "sae_decode": (_handle, _pointer, _pointer, _pointer, _long, _pointer, _long),
    "sae_save": (_handle, _text, _text),
    "sae_free": (_handle,),
    "trainer_create": (_text, _pointer),
    "trainer_get_info": (_handle, _pointer, _size),
    "trainer_start": (_handle, _pointer, _long, _long),
    "trainer_step": (_handle, _pointer, _long, _long),
    "trainer_step_device": (_handle, _pointer, _long, _long, _pointer),
    "trainer_get_metrics": (_handle, _pointer, _size),
    "trainer_checkpoint": (_handle, _text),
    "trainer_restore": (_handle, _text),
    "trainer_sae": (_handle, _int, _long, _pointer),
    "trainer_save": (_handle, _text, _text),
    "trainer_free": (_handle,),
}

_loaded = None


def _library():
    """Returns libcudasae.so with its functions declared. It is loaded at the first use."""
    global _loaded
    if _loaded is not None:
        return _loaded
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libcudasae.so")
    path = os.environ.get("CUDASAE_LIBRARY") or beside
    if not os.path.exists(path):
        raise Error("%s does not exist: bash build/native.sh makes it in artifacts/native; set CUDASAE_LIBRARY to its "
                    "path" % path, 2)
    library = ctypes.CDLL(path)
    library.cudasae_version.restype = library.cudasae_last_error.restype = ctypes.c_char_p
    library.cudasae_abi_version.restype = _int
    if library.cudasae_abi_version() != ABI_VERSION:
        raise Error("%s has ABI version %d, cudasae.py %d: take both from one build"
                    % (path, library.cudasae_abi_version(), ABI_VERSION), 2)
    for name, arguments in _FUNCTIONS.items():
        function = getattr(library, "cudasae_" + name)
        function.argtypes, function.restype = arguments, _int
    _loaded = library
    return library


def _call(name, *arguments):
    library = _library()
    code = getattr(library, "cudasae_" + name)(*arguments)
    if code:
        raise Error(library.cudasae_last_error().decode("utf-8", "replace"), code)


def version():
    """The library's version."""
    return _library().cudasae_version().decode()


# ---- arrays of either kind ----

def _module(name):
    """Imports numpy or torch when it is needed; returns None if it is not installed."""
    try:
        return __import__(name)
    except ImportError:
        return None


class _Array:
    """The pointer and the shape of a contiguous numpy array or torch tensor, which it keeps alive."""

    def __init__(self, x, name, types, dimensions):
        torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")       # the module of x has been imported
        self.of = x
        if torch is not None and isinstance(x, torch.Tensor):
            self.type, contiguous, self.cuda = str(x.dtype).replace("torch.", ""), x.is_contiguous(), x.is_cuda
            if not self.cuda and x.device.type != "cpu":
                raise Error("%s is on %s: cpu and cuda tensors can be read" % (name, x.device))
            self.kind, self.pointer, advice = "torch", x.data_ptr(), ".contiguous()"
        elif numpy is not None and isinstance(x, numpy.ndarray):
            self.type = x.dtype.name if x.dtype.isnative else x.dtype.str
            contiguous, self.cuda = x.flags.c_contiguous, False
            self.kind, self.pointer, advice = "numpy", x.ctypes.data, ": numpy.ascontiguousarray(x)"
        else:
            raise Error("%s is a %s: give a numpy array or a torch tensor" % (name, type(x).__name__))
        if self.type not in types:
            raise Error("%s is %s; %s is needed" % (name, self.type, " or ".join(types)))
        if x.ndim != dimensions:
            needed = "1 dimension is" if dimensions == 1 else "%d dimensions are" % dimensions
            raise Error("%s has shape %s; %s needed" % (name, tuple(x.shape), needed))
        if not contiguous:
            raise Error("%s is not contiguous; pass x%s" % (name, advice))
        self.rows = int(x.shape[0])
        self.width = int(x.shape[1]) if dimensions == 2 else 1

    def stream(self, name):
        """Returns the current stream of a CUDA tensor's device, which must be that of the engine."""
        if self.of.device.index != 0:
            raise Error("%s is on %s; the engine runs on cuda:0" % (name, self.of.device))
        return sys.modules["torch"].cuda.current_stream(self.of.device).cuda_stream

    def on_host(self, name):
        if self.cuda:
            raise Error("%s is in device memory; pass x.cpu()" % name)
        return self


def _empty(kind, shape, dtype, zero=False):
    """Makes an array of the kind, or of the other kind if it is not installed; returns (array, pointer)."""
    module = _module(kind) or _module("torch" if kind == "numpy" else "numpy")
    if module is None:
        raise Error("neither numpy nor torch is installed")
    array = (module.zeros if zero else module.empty)(shape, dtype=getattr(module, dtype))
    return array, (array.ctypes.data if module.__name__ == "numpy" else array.data_ptr())


def _path(path):
    path = os.fsencode(os.fspath(path))
    if b"\0" in path:
        raise Error("a path cannot hold a zero: %r" % path)
    return path


class _Owner:
    """Owns one handle. close() and the end of a with block free it."""

    _free = None

    def __init__(self, handle):
        self._handle = handle

    @property
    def handle(self):
        """The handle for functions of the C library. It raises an error if the object is closed."""
        if not self._handle:
            raise Error("this %s is closed" % type(self).__name__)
        return self._handle

    def close(self):
        """Frees the object's memory. The end of a with block does this too."""
        if getattr(self, "_handle", None):
            _call(self._free, self._handle)
        self._handle = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __del__(self):
        try:
            self.close()
        except Exception:       # the interpreter is ending
            pass


# ---- finished SAEs ----

class Sae(_Owner):
    """A finished SAE, which encodes and decodes batches. Sae.load and Trainer.sae make it. It has these attributes:

    input_width: d.
    output_width: d_out.
    latents: n.
    batch_rows: rows computed together.
    normalization: none, layer_norm or constant_norm; the normalization of rows before the encoder.
    description: the backend and its device, as text."""

    _free = "sae_free"

    def __init__(self, handle):
        super().__init__(handle)
        info = _SaeInfo()
        _call("sae_get_info", handle, ctypes.byref(info), ctypes.sizeof(info))
        self.input_width, self.output_width = info.input_width, info.output_width
        self.latents, self.batch_rows = info.latents, info.batch_rows
        self.normalization = _NORMALIZATIONS[info.normalization]
        self.description = info.description.decode("utf-8", "replace")

    @classmethod
    def load(cls, path, backend="auto", batch_rows=256, read_as=None):
        """Loads an SAE of any known format from a file or folder.

        path: the file or folder.
        backend: auto, cuda, cpu or emulator.
        batch_rows: rows computed together.
        read_as: sae or transcoder, if its files do not determine it; None for an SAE."""
        if backend not in _BACKENDS:
            raise Error("backend %r is unknown; one of %s" % (backend, ", ".join(_BACKENDS)))
        if read_as not in _KINDS:
            raise Error("read_as %r is unknown; one of sae, transcoder, None" % (read_as,))
        handle = _handle()
        _call("sae_load_as", _path(path), _KINDS[read_as], _BACKENDS[backend], batch_rows, ctypes.byref(handle))
        return cls(handle.value)

    def encode(self, x):
        """Encodes x [rows, d] float32 and returns the codes as CSR: row_starts int64 [rows + 1]; indices int32,
        ascending in each row; values float32, which are not 0. They are numpy arrays, or torch tensors if numpy is not
        installed. A CUDA tensor is read in place, on its current stream."""
        rows, total = _Array(x, "x", ("float32",), 2), _long()
        if rows.cuda:
            _call("sae_encode_device", self.handle, rows.pointer, rows.rows, rows.width, rows.stream("x"),
                  ctypes.byref(total))
        else:
            _call("sae_encode", self.handle, rows.pointer, rows.rows, rows.width, ctypes.byref(total))
        return self._codes("numpy", rows.rows, total.value)

    def _codes(self, kind, rows, total):
        starts, at_starts = _empty(kind, rows + 1, "int64")
        indices, at_indices = _empty(kind, total, "int32")
        values, at_values = _empty(kind, total, "float32")
        _call("sae_codes", self.handle, at_starts, rows, at_indices, at_values, total)
        return starts, indices, values

    def encode_dense(self, x):
        """Encodes x into one matrix float32 [rows, n] of the kind of x. It takes rows * n numbers: use small
        batches."""
        kind = _Array(x, "x", ("float32",), 2).kind
        starts, indices, values = self.encode(x)
        dense, _ = _empty(kind, (len(starts) - 1, self.latents), "float32", zero=True)
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(dense, torch.Tensor):
            starts, indices, values = (torch.as_tensor(part) for part in (starts, indices, values))
            of_row = torch.repeat_interleave(torch.arange(len(starts) - 1), starts[1:] - starts[:-1])
            dense[of_row, indices.long()] = values
            return dense.to(x.device)
        numpy = sys.modules["numpy"]
        dense[numpy.repeat(numpy.arange(len(starts) - 1), numpy.diff(starts)), indices] = values
        return dense

    def decode(self, row_starts, indices, values):
        """Decodes codes in the form of encode to reconstructions [rows, d_out] of the kind of values. If the
        normalization of the SAE is not none they are in normalized units; reconstruct gives units of x."""
        starts, index = _Array(row_starts, "row_starts", ("int64",), 1), _Array(indices, "indices", ("int32",), 1)
        value = _Array(values, "values", ("float32",), 1)
        for part, name in ((starts, "row_starts"), (index, "indices"), (value, "values")):
            part.on_host(name)
        if starts.rows < 1 or index.rows != value.rows or int(row_starts[-1]) != value.rows:
            last = int(row_starts[-1]) if starts.rows else "nothing"
            raise Error("%d indices for %d values, and row_starts ends with %s" % (index.rows, value.rows, last))
        out, at_out = _empty(value.kind, (starts.rows - 1, self.output_width), "float32")
        _call("sae_decode", self.handle, starts.pointer, index.pointer, value.pointer, starts.rows - 1, at_out,
              self.output_width)
        return out

    def reconstruct(self, x):
        """Returns the reconstructions [rows, d_out] of x [rows, d] float32, of the kind of x."""
        rows = _Array(x, "x", ("float32",), 2).on_host("x")
        out, at_out = _empty(rows.kind, (rows.rows, self.output_width), "float32")
        _call("sae_reconstruct", self.handle, rows.pointer, rows.rows, rows.width, at_out, self.output_width, None)
        return out

    def save(self, path, format=None):
        """Saves the SAE, in SAELens' layout unless another format is named."""
        _call("sae_save", self.handle, _path(path), format and format.encode())


# ---- training ----

class Trainer(_Owner):
    """Trains an SAE step by step.

    settings: a dict or JSON text of the arguments below, which take precedence over it.
    preset: a published recipe (`cudasae presets` lists them).
    input_width: d.
    latents: n.
    k: active latents a row, if the method has k.
    config: fields of the run, such as {"batch_rows": 1024, "vectors": 10_000_000, "learning_rate": 1e-3}; the length of
    the schedules is vectors / batch_rows steps. config["non_finite"] is "stop" (a row with NaN or infinity raises an
    error) or "replace" (another row of the batch replaces it).
    spec: fields of the architecture by path, such as {"aux.coefficient": 0.1, "decoder_norm": "Free"}.
    backend: auto, cuda, cpu or emulator.
    input_type: float32, float16 or bfloat16, the element type of the rows.

    A trainer has the attributes input_width, latents and input_type with the values above, and these:

    row_width: width of the rows of a step: d, plus d_out for a transcoder's target.
    output_width: d_out.
    batch_rows: rows of every step.
    total_steps: length of the schedules, in steps.
    description: the backend and its device, as text."""

    _free = "trainer_free"

    def __init__(self, settings=None, *, preset=None, input_width=None, latents=None, k=None, spec=None, config=None,
                 backend=None, input_type=None):
        settings = json.loads(settings) if isinstance(settings, str) else dict(settings or {})
        given = dict(preset=preset, input_width=input_width, latents=latents, k=k, spec=spec, config=config,
                     backend=backend, input_type=input_type)
        settings.update((name, value) for name, value in given.items() if value is not None)
        handle = _handle()
        _call("trainer_create", json.dumps(settings).encode(), ctypes.byref(handle))
        super().__init__(handle.value)
        info = self._info()
        self.row_width, self.input_width, self.output_width = info.row_width, info.input_width, info.output_width
        self.latents, self.batch_rows, self.total_steps = info.latents, info.batch_rows, info.total_steps
        self.input_type, self.description = _INPUT_TYPES[info.input_type], info.description.decode("utf-8", "replace")

    def _info(self):
        info = _TrainerInfo()
        _call("trainer_get_info", self.handle, ctypes.byref(info), ctypes.sizeof(info))
        return info

    @property
    def steps(self):
        """The number of completed steps."""
        return self._info().steps

    def _rows(self, x):
        return _Array(x, "x", (self.input_type,), 2)

    def start(self, x):
        """Draws the initial weights and measures the data on rows x [any, row_width]. Without this call the sample is
        the batch of the first step."""
        rows = self._rows(x).on_host("x")
        _call("trainer_start", self.handle, rows.pointer, rows.rows, rows.width)

    def step(self, x):
        """Runs one step on x [batch_rows, row_width], which may be changed when the call returns. A CUDA tensor is read
        in place, in the order of its current stream."""
        rows = self._rows(x)
        if rows.cuda:
            _call("trainer_step_device", self.handle, rows.pointer, rows.rows, rows.width, rows.stream("x"))
        else:
            _call("trainer_step", self.handle, rows.pointer, rows.rows, rows.width)

    def metrics(self):
        """Waits for the last step and returns its metrics as a dict; cudasae.h documents them."""
        metrics = _Metrics()
        _call("trainer_get_metrics", self.handle, ctypes.byref(metrics), ctypes.sizeof(metrics))
        read = {name: getattr(metrics, name) for name, _ in _Metrics._fields_}
        read.update((name, int(read[name])) for name in _WHOLE)
        read["dense"] = bool(read["dense"])
        return read

    def checkpoint(self, folder):
        """Saves all state in folder/checkpoint."""
        _call("trainer_checkpoint", self.handle, _path(folder))

    def restore(self, folder):
        """Restores a checkpoint into a new trainer with the same settings. It resumes bit for bit if the same batches
        follow."""
        _call("trainer_restore", self.handle, _path(folder))

    def sae(self, average=False, batch_rows=256):
        """Makes a copy of the current SAE.

        average: whether to take the moving average of the weights.
        batch_rows: rows computed together."""
        handle = _handle()
        _call("trainer_sae", self.handle, int(average), batch_rows, ctypes.byref(handle))
        return Sae(handle.value)

    def save(self, path, format=None):
        """Saves the current SAE, in SAELens' layout unless another format is named."""
        _call("trainer_save", self.handle, _path(path), format and format.encode())
