"""The TensorFlow process that converts a model of any engine and proves each artefact.

`python -m kzoo.export.worker job.json` loads the model, makes each format in turn, runs it and compares it
with the recorded outputs. It tells what it does as one JSON object a line on its standard output; whatever
libraries write there goes to standard error. `exporter.py` writes the job.
"""

import contextlib
import importlib
import importlib.util
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

from kzoo.export.formats import FORMATS
from kzoo.export.report import in_short


def main(job):
    """Works through a job, a path to its JSON, and leaves one event per format."""
    say = _channel()
    job = json.loads(Path(job).read_text(encoding="utf-8"))
    try:
        model, cases = _load(job)
    except Exception as error:
        say(event="refused", message=_explain(error))
        return
    for name in job["formats"]:
        say(event="start", format=name)
        say(event="done", format=name, **_make(name, model, cases, job))


def _load(job):
    import keras

    from kzoo.export.verify import load_cases

    for name, file in job["modules"].items():
        _import(name, file)
    # A model that the caller handed over has run in its process already: its lambdas need no second thought.
    model = keras.saving.load_model(job["model"], compile=False, safe_mode=not job["trusted"])
    return model, load_cases(job["cases"])


def _import(name, file):
    """Imports a module that defines classes of the model, by its name or else from its file."""
    if name != "__main__":
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
            return
    if file is not None:
        spec = importlib.util.spec_from_file_location("main_of_caller" if name == "__main__" else name, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)


def _make(name, model, cases, job):
    """Converts to one format, trying its batch sizes in turn until one passes."""
    from kzoo.export.runners import open_artefact
    from kzoo.export.verify import verify

    path, tolerance = Path(job["staging"], FORMATS[name].file), job["tolerances"][name]
    start, difference, message = time.perf_counter(), None, ""
    for batch in _batches(name, cases, job):
        try:
            _remove(path)
            importlib.import_module(f"kzoo.export.{name}").convert(model, path, batch)
            difference = verify(open_artefact(path), cases)
        except Exception as error:
            difference, message = None, _explain(error)
            _log(f"{name} at batch {batch}: {type(error).__name__}: {error}")
            continue
        if difference <= tolerance:
            message = "any batch" if batch is None else f"batch {batch}"
            return _result(True, start, difference, message)
        message = f"differs from the model by {difference:.1e}, more than {tolerance:.0e}"
    return _result(False, start, difference, message)


def _batches(name, cases, job):
    if job["fixed_batch"] is not None:
        return (job["fixed_batch"],)
    return FORMATS[name].batches


def _result(passed, start, difference, message):
    seconds = time.perf_counter() - start
    # JSON has no NaN: it travels as text.
    difference = difference if difference is None else str(float(difference))
    return {"passed": passed, "seconds": seconds, "difference": difference, "message": message}


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _explain(error):
    """An exception in one line, and what to do about a class that was not found."""
    if missing := re.search(r"Could not locate (?:class|function) '([^']+)'", str(error)):
        return (
            f"the worker process cannot find {missing[1]!r}: define it at the top of a module that can be "
            "imported (not in a function) and decorate it with @keras.saving.register_keras_serializable()"
        )
    return in_short(error)


def _log(line):
    sys.stderr.write(f"{line}\n")


def _channel():
    """A function that writes events to the real standard output, which is standard error for all others."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(**event):
        stream.write(json.dumps(event) + "\n")
        stream.flush()

    return say


if __name__ == "__main__":
    try:
        main(sys.argv[1])
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # TensorFlow and the interpreter take seconds to come down
