"""The process that opens one artefact and runs it: speed, memory, and what it answers; started by `speed.py`.

It runs on as many processors as it has been given threads, since runtimes take what they see. Nothing but the
artefact's own runtime is imported: `import kzoo` would import Keras.
"""

import os
import time
from pathlib import Path

import numpy as np

from kzoo.export import apart

WARM = 0.3  # seconds and calls before the first that counts
LEAST, MOST = 20, 2000  # calls that are timed


def measure(job, progress):
    """Opens an artefact and measures it.

    Args:
        job: `path`; `threads`; `seconds` for each of the two timings; `batch`; `timing`, an `.npz` of inputs by
            name; `cases`, comparisons as `kzoo.export.verify` saves them; and, for accuracy, `labelled`, an
            `.npz` of images `x` and class indices `y`, or `None`, and `preprocessing`; `modules`, files by name of
            modules that a Keras model needs.
        progress: not used.

    Returns:
        `load_s`, `first_ms`, `p50_ms` and `p95_ms` (one example a call), `throughput` (examples a second in
        batches), `memory_mb` (the process's peak until then), `difference` (text) and `accuracy`.
    """
    _take_processors(job["threads"])
    from kzoo.export.runners import open_artefact

    _set_threads(Path(job["path"]), job["threads"])
    for name, file in job["modules"].items():
        from kzoo.export.worker import import_classes

        import_classes(name, file)
    start = time.perf_counter()
    runner = open_artefact(job["path"])
    result = {"load_s": time.perf_counter() - start}
    with np.load(job["timing"]) as arrays:
        batch = {name: arrays[name] for name in arrays.files}
    one = {name: array[:1] for name, array in batch.items()}
    start = time.perf_counter()
    runner.run(one)
    result["first_ms"] = 1e3 * (time.perf_counter() - start)
    times = _timed(runner, one, job["seconds"])
    result["p50_ms"], result["p95_ms"] = (float(value) for value in 1e3 * np.percentile(times, (50, 95)))
    result["throughput"] = job["batch"] / float(np.median(_timed(runner, batch, job["seconds"], least=3)))
    result["memory_mb"] = _peak_memory()
    result["difference"] = str(_difference(runner, job["cases"]))
    result["accuracy"] = _accuracy(runner, job) if job["labelled"] else None
    return result


def _timed(runner, inputs, seconds, least=LEAST):
    begin = time.perf_counter()
    while time.perf_counter() - begin < WARM:
        runner.run(inputs)
    times, begin = [], time.perf_counter()
    while len(times) < least or (time.perf_counter() - begin < seconds and len(times) < MOST):
        start = time.perf_counter()
        runner.run(inputs)
        times.append(time.perf_counter() - start)
    return times


def _difference(runner, file):
    from kzoo.export.shapes import fits
    from kzoo.export.verify import load_cases, verify

    cases = load_cases(file)
    taken = [
        (inputs, outputs) for inputs, outputs in cases if not runner.inputs or fits(runner.inputs, inputs)
    ]
    return verify(runner, taken) if taken else None


def _accuracy(runner, job):
    from kzoo.data.preprocessing import Preprocessing

    prepare = Preprocessing.from_dict(job["preprocessing"])
    with np.load(job["labelled"]) as arrays:
        x, y = arrays["x"], arrays["y"]
    (tensor,), right, step = runner.inputs, 0, job["batch"]
    fixed = tensor.shape[0] not in (None, 1)
    x = x[: len(x) // step * step] if fixed else x  # such an artefact takes whole batches only
    for start in range(0, len(x), step):
        (scores,) = runner.run({tensor.name: prepare(x[start : start + step])}).values()
        right += int((scores.argmax(-1) == y[start : start + step]).sum())
    return right / len(x)


def _take_processors(threads):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def _set_threads(path, threads):
    """Tells those runtimes that count the machine's processors, not the process's."""
    if path.suffix == ".onnx":
        import onnxruntime

        class Options(onnxruntime.SessionOptions):
            """What a session is opened with, on so many threads."""

            def __init__(self):
                super().__init__()
                self.intra_op_num_threads = threads

        onnxruntime.SessionOptions = Options
    elif path.suffix == ".tflite":
        import functools

        from ai_edge_litert import interpreter

        interpreter.Interpreter = functools.partial(interpreter.Interpreter, num_threads=threads)
    elif path.suffix in (".pt2", ".pt"):
        import torch

        torch.set_num_threads(threads)


def _peak_memory():
    """The largest resident size of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # `getrusage` would tell of the process that started this one, too
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource
    import sys

    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    )


if __name__ == "__main__":
    apart.run(measure)
