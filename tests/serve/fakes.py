"""Models that need no TensorFlow: what is tested with them is everything around the model."""

import threading
import time
from pathlib import Path

import numpy as np

from kzoo.serve import protocol
from kzoo.serve.batching import Batcher
from kzoo.serve.errors import ServeError, invalid
from kzoo.serve.loading import Version, _signature


def definition(inputs, outputs, method="tensorflow/serving/predict"):
    """A `SignatureDef`: dtype and shape (-1 where free) by name."""
    made = protocol.meta_graph_pb2.SignatureDef(method_name=method)
    for side, specs in ((made.inputs, inputs), (made.outputs, outputs)):
        for name, (dtype, shape) in specs.items():
            side[name].dtype = protocol.types_pb2.DataType.Value(dtype)
            side[name].name = f"{name}:0"
            for size in shape:
                side[name].tensor_shape.dim.add(size=size)
    return made


class FakeVersion(Version):
    """`y = 2 x + version`; `pause` sleeps for as many seconds as its largest row says; negative roots fail.

    A file `saved_model.pb` that says `broken` cannot be loaded; one that says `slow` takes a second.
    """

    def __init__(self, name, number, path, batching=None, on_run=None):
        text = Path(path, "saved_model.pb").read_text()
        if "broken" in text:
            raise ServeError("DATA_LOSS", "the file is broken")
        if "slow" in text:
            time.sleep(1.0)
        self.name, self.number, self._on_run = name, number, on_run
        self.samples, self.warmed_up = {"dot.png": b"\x89PNG"}, 0
        self.signature_defs = {
            "serving_default": definition({"x": ("DT_FLOAT", (-1, 3))}, {"y": ("DT_FLOAT", (-1, 3))}),
            "pause": definition({"seconds": ("DT_FLOAT", (-1,))}, {"slept": ("DT_FLOAT", (-1,))}),
            "root": definition({"x": ("DT_FLOAT", (-1,))}, {"y": ("DT_FLOAT", (-1,))}),
            "words": definition(
                {"word": ("DT_STRING", (-1,))}, {"word": ("DT_STRING", (-1,)), "n": ("DT_INT64", (-1,))}
            ),
        }
        self.signatures = {key: _signature(key, one) for key, one in self.signature_defs.items()}
        self.calls, self.is_open = [], True
        self._batcher = Batcher(self._run, batching) if batching is not None else None

    def _run(self, signature, arrays):
        if not self.is_open:
            raise ServeError("INTERNAL", "a version was used after it was closed")
        self.calls.append((signature.name, {name: len(array) for name, array in arrays.items()}))
        ((_, x),) = arrays.items()
        if signature.name == "pause":
            time.sleep(float(x.max()))
            return {"slept": x}
        if signature.name == "root":
            if (x < 0).any():
                raise invalid("the root of a negative number")
            return {"y": np.sqrt(x)}
        if signature.name == "words":
            return {"word": x, "n": np.array([len(word) for word in x], dtype="int64")}
        return {"y": 2 * x + self.number}

    def close(self):
        if self._batcher is not None:
            self._batcher.close()
        self.is_open = False


def publish(base, name, number, text="fine"):
    """Makes the folder of a version appear at once, as publishing does."""
    aside = Path(base, name, f".tmp-{number}")
    aside.mkdir(parents=True)
    aside.joinpath("saved_model.pb").write_text(text)
    aside.rename(Path(base, name, str(number)))
    return Path(base, name, str(number))


def together(count, function):
    """Runs `function(index)` in as many threads at once and gives results, or errors, in order."""
    results = [None] * count

    def work(index):
        try:
            results[index] = function(index)
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=work, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def wait_until(condition, timeout=10.0):
    """Whether a condition comes true in time."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False
