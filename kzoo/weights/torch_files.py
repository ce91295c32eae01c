"""Reads PyTorch checkpoints (`.pth`, `.pt`, `.bin`) without PyTorch, and without running what is pickled in them.

A checkpoint is a pickle that names storages, and the storages' bytes: in a zip archive since PyTorch 1.6, one after
the other in the same file before. The pickle is read by an unpickler that knows tensors and containers and nothing
else, so that a file that would import or call anything is refused.
"""

import collections
import pickle
import struct
import zipfile
from dataclasses import dataclass

import ml_dtypes
import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickled number of the older format
DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class UnsafeCheckpointError(ValueError):
    """A checkpoint that would run code when unpickled."""


@dataclass
class Storage:
    """Numbers of one type, whose bytes are found by a key."""

    dtype: type
    key: str
    numel: int
    data: np.ndarray | None = None


@dataclass
class Tensor:
    """A view of a storage."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple

    def array(self):
        """The numbers, as a NumPy array."""
        data = self.storage.data
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides))
        if 0 not in self.shape and not 0 <= last < len(data):
            raise ValueError(
                f"a tensor of shape {self.shape} lies outside its storage of {len(data)} numbers"
            )
        strides = [s * data.itemsize for s in self.strides]
        view = np.lib.stride_tricks.as_strided(data[self.offset :], self.shape, strides, writeable=False)
        return np.ascontiguousarray(view).reshape(self.shape)


def _rebuild(storage, offset, size, stride, *rest):
    return Tensor(storage, int(offset), tuple(size), tuple(stride))


ALLOWED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _rebuild,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *rest: tensor,
    ("torch", "Size"): tuple,
    **{("torch", name): dtype for name, dtype in DTYPES.items()},
}


class Unpickler(pickle.Unpickler):
    """Knows tensors, dictionaries and plain values."""

    def __init__(self, stream, storages):
        super().__init__(stream, encoding="utf-8")
        self.storages = storages

    def find_class(self, module, name):
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise UnsafeCheckpointError(
                f"the checkpoint holds more than tensors and was refused: unpickling it would use {module}.{name}. "
                "Save the state dictionary alone, or as .safetensors"
            ) from None

    def persistent_load(self, identity):
        kind, dtype, key, _, numel = identity[:5]
        if kind != "storage" or dtype not in DTYPES.values():
            raise pickle.UnpicklingError(f"it names something that is no storage: {kind!r}")
        return self.storages.setdefault(key, Storage(dtype, key, int(numel)))


def read(path):
    """Name to NumPy array of a state dictionary, also one in a dictionary under `state_dict` or `model`.

    Raises:
        UnsafeCheckpointError: if unpickling would do more than make tensors.
        ValueError: if the file is truncated, or no such checkpoint.
    """
    try:
        content = _read_zip(path) if zipfile.is_zipfile(path) else _read_stream(path)
        return {
            name: tensor.array() for name, tensor in _state(content).items() if isinstance(tensor, Tensor)
        }
    except (UnsafeCheckpointError, FileNotFoundError):
        raise
    except Exception as error:  # a broken pickle raises nearly anything
        raise ValueError(
            f"the file {path} is truncated or is no PyTorch checkpoint ({type(error).__name__}: {error})"
        ) from error


def _read_zip(path):
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl") or name == "data.pkl")
        root = pickled.removesuffix("data.pkl")
        if root + "byteorder" in archive.namelist() and archive.read(root + "byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        storages = {}
        with archive.open(pickled) as stream:
            content = Unpickler(stream, storages).load()
        for storage in storages.values():
            storage.data = _numbers(archive.read(f"{root}data/{storage.key}"), storage)
    return content


def _read_stream(path):
    with open(path, "rb") as stream:
        if stream.peek(2)[:2] == b"PK":
            raise ValueError("the archive has no end")
        if (magic := Unpickler(stream, {}).load()) != MAGIC:
            raise ValueError(f"it begins with {magic!r}")
        for _ in ("protocol", "system"):
            Unpickler(stream, {}).load()
        storages = {}
        content = Unpickler(stream, storages).load()
        for key in Unpickler(stream, {}).load():
            (numel,) = struct.unpack("<q", stream.read(8))
            storage = storages[key]
            storage.numel = numel
            storage.data = _numbers(stream.read(numel * np.dtype(storage.dtype).itemsize), storage)
    return content


def _numbers(content, storage):
    data = np.frombuffer(content, storage.dtype)
    if len(data) != storage.numel:
        raise ValueError(f"a storage should have {storage.numel} numbers and has {len(data)}")
    return data


def _state(content):
    """The dictionary of tensors, wherever trainers put it."""
    for key in ("state_dict", "model_state", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not any(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"it holds no dictionary of tensors but a {type(content).__name__}")
    return {name.removeprefix("module."): value for name, value in content.items()}
