"""The process on one engine that converts a model of any engine and proves each artefact.

`python -m kzoo.export.worker` reads paths of jobs, one a line. For each it loads the model, makes each format in
turn, runs it and compares it with the recorded outputs. It tells what it does as one JSON object a line on its
standard output; whatever libraries write there goes to standard error. `exporter.py` writes the jobs.
"""

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import queue
import re
import shutil
import sys
import threading
import time
from pathlib import Path

from kzoo.export.formats import FORMATS, NONE, QUALITY
from kzoo.export.report import FAILED, FLEX, PASSED, UNPROVEN, in_short

LARGE = 10_000_000  # weights
NO_FLEX = f"numbers unproven, {FLEX} for {{}}: no interpreter on PyPI has it since TensorFlow 2.20"


def main():
    """Works through the jobs on standard input; the process ends when that is closed."""
    say, jobs = _channel(), queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    while True:
        job = json.loads(Path(jobs.get()).read_text(encoding="utf-8"))
        sys.path.extend(entry for entry in job.get("path", ()) if entry not in sys.path)
        try:
            model, cases = load_job(job)
        except Exception as error:
            _log_trace()
            say(event="refused", message=explain(error, job))
            continue
        for name in job["formats"]:
            say(event="start", format=name)
            say(event="done", format=name, **_make(name, model, cases, job))
            if model.count_params() > LARGE:
                gc.collect()  # graphs refer to themselves: gigabytes, while the next format is made
        say(event="finished")
        del model, cases
        _forget()


def _listen(jobs):
    """Queues the jobs that come in, and ends this process with its caller, whatever it is doing."""
    for line in sys.stdin:
        jobs.put(line.rstrip("\n"))
    os._exit(0)


def load_job(job):
    import keras

    from kzoo.export.verify import load_cases

    for name, file in job["modules"].items():
        import_classes(name, file)
    # A model that the caller handed over has run in its process already: its lambdas need no second thought.
    model = keras.saving.load_model(job["model"], compile=False, safe_mode=not job["trusted"])
    return model, load_cases(job["cases"])


def import_classes(name, file):
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
    """Converts to one format, trying its attempts in turn until one passes."""
    from kzoo.export.card import write_card
    from kzoo.export.operators import flex_operators
    from kzoo.export.shapes import describe
    from kzoo.export.signature import inputs_of

    form, wanted = FORMATS[name], inputs_of(model).tensors
    path, tolerance = Path(job["staging"], form.file), job["tolerances"][name]
    module = importlib.import_module(f"kzoo.export.{form.module or name}")
    start, difference, message = time.perf_counter(), None, "there was nothing to try"
    for shapes, options in _attempts(form, wanted, job):
        try:
            _remove(path)
            module.convert(model, path, shapes, **options)
            write_card(path, name, job["card"])
            if flex := flex_operators(path) if options.get("flex") else ():
                return _result(UNPROVEN, start, None, NO_FLEX.format(", ".join(flex)))
            runner, difference = _prove(name, path, cases, job)
        except Exception as error:
            difference, message = None, explain(error, job)
            _log(f"{name} as {shapes} {sorted(options)}: {type(error).__name__}: {error}")
            continue
        taken = describe(runner.inputs, wanted)
        if form.proof == NONE:
            return _result(UNPROVEN, start, None, f"numbers unproven off macOS, {taken}")
        if difference <= tolerance or (form.proof == QUALITY and difference == difference):
            return _result(PASSED, start, difference, taken)
        message = f"differs from the model by {difference:.1e}, more than {tolerance:.0e}"
    if form.prefers_chosen and not job["chosen"] and any(None in tensor.shape[1:] for tensor in wanted):
        message = f"{message} (a static_shape for the free lengths may help)"
    return _result(FAILED, start, difference, message)


def _attempts(form, wanted, job):
    """The shapes to convert for and the options of the conversion, for each attempt that differs from those before."""
    from kzoo.export.quality import REPRESENTATIVE, load_arrays
    from kzoo.export.shapes import resolve

    tried, options = [], dict(form.options)
    if "sizes" in form.needs:
        options["sizes"] = job["sizes"]
    if "examples" in form.needs:
        options["examples"] = load_arrays(job["quality"])[REPRESENTATIVE]
    for attempt in form.attempts:
        shapes = resolve(attempt, wanted, job["chosen"], job["sizes"])
        if shapes is None or (attempt.flex and not job["allow_flex"]) or (shapes, attempt.flex) in tried:
            continue
        tried.append((shapes, attempt.flex))
        yield shapes, {**options, "flex": True} if attempt.flex else options


def _prove(name, path, cases, job):
    """Runs an artefact: the runner, and its largest difference from the model."""
    from kzoo.export import quality
    from kzoo.export.runners import open_artefact
    from kzoo.export.shapes import check_description, fits
    from kzoo.export.verify import verify

    runner = open_artefact(path)
    cases = [(inputs, outputs) for inputs, outputs in cases if fits(runner.inputs, inputs)]
    if not cases:
        raise ValueError(f"no comparison fits its inputs. Received: {', '.join(map(str, runner.inputs))}")
    if FORMATS[name].proof == NONE:
        check_description(runner, *cases[0])
        return runner, None
    difference = verify(runner, cases)
    if FORMATS[name].proof == QUALITY and job["quality"]:
        quality.answer(runner, job["quality"], Path(job["staging"], f"{name}.npz"))
    return runner, difference


def _result(status, start, difference, message):
    seconds = time.perf_counter() - start
    # JSON has no NaN: it travels as text.
    difference = difference if difference is None else str(float(difference))
    return {"status": status, "seconds": seconds, "difference": difference, "message": message}


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _forget():
    """Frees what a job left behind in Keras."""
    import keras

    keras.utils.clear_session()
    gc.collect()


def explain(error, job):
    """An exception in one line, and what to do about a class that was not found."""
    if missing := re.search(r"Could not locate (?:class|function) '([^']+)'", str(error)):
        return (
            f"the worker process cannot find {missing[1]!r}: define it at the top of a module that can be "
            "imported (not in a function), decorate it with @keras.saving.register_keras_serializable(), and "
            f"name the module in modules=(…,) or --import. Unproven, but without that: {job['own_route']}"
        )
    return in_short(error)


def _log(line):
    sys.stderr.write(f"{line}\n")


def _log_trace():
    import traceback

    traceback.print_exc()


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
        main()
        status = 0
    except BaseException:
        _log_trace()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # TensorFlow and the interpreter take seconds to come down
