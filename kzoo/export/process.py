"""Starts worker processes, listens to them, and outlives them."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from importlib.util import find_spec

from kzoo.export.formats import FORMATS

TIMEOUT = 3600.0  # seconds for one job: it hangs if it takes longer
TAIL = 8  # lines of a dead worker's messages to quote
CHATTER = re.compile(r"[IW]\d{4} |WARNING: All log messages|WARNING:coremltools|.*(cuInit|cudart)")

_kept = None  # workers by engine, while `keep_workers` is open
_busy = threading.RLock()


@contextlib.contextmanager
def keep_workers():
    """While it is open, worker processes live on between exports, which saves each the seconds of their start."""
    global _kept
    if _kept is not None:
        yield
        return
    _kept = {}
    try:
        yield
    finally:
        with _busy:
            kept, _kept = _kept, None
        for worker in kept.values():
            worker.close()


def work(job, staging, progress):
    """Converts in worker processes, and sees to it that one format cannot harm another.

    Each engine that the formats ask for has one process, and a format that may take its process down has one
    to itself. A format that does take it down is given up, and those after it get a new worker. One that fails
    on its first engine is tried on its second.

    Args:
        job: what `worker.py` reads; its `formats` are to be done.
        staging: the directory of the job's files and of the artefacts.
        progress: a function called with a line of text for each format.

    Returns:
        A dict by format of `status`, `seconds`, `difference` (text or `None`) and `message`.
    """
    results, turn, pending = {}, 0, list(job["formats"])
    while pending:
        for engine, names, alone in _groups(pending, turn):
            _work_on(engine, names, alone, job, staging, results, progress)
        turn += 1
        pending = [name for name in pending if results[name]["status"] == "failed" and _engine(name, turn)]
    return results


def _engine(name, turn):
    engines = FORMATS[name].engines
    return engines[turn] if turn < len(engines) and (turn == 0 or find_spec(engines[turn])) else None


def _groups(names, turn):
    """Which engine does which formats in one process, and whether that process is for this only."""
    groups = {}
    for name in names:
        key = (_engine(name, turn), name if FORMATS[name].alone else "")
        groups.setdefault(key, []).append(name)
    ordered = sorted(groups.items(), key=lambda item: bool(item[0][1]))
    return [(engine, group, bool(alone)) for (engine, alone), group in ordered]


def _work_on(engine, names, alone, job, staging, results, progress):
    """Files a result for each of these formats."""
    earlier = {name: results.pop(name) for name in names if name in results}
    pending = list(names)
    while pending:
        path = staging / "job.json"
        path.write_text(json.dumps({**job, "formats": pending, "path": _path()}), encoding="utf-8")
        with _worker(engine, alone) as worker:
            current, failure = worker.run(path.resolve(), results, progress)
        pending = [name for name in pending if name not in results]
        # A worker that ended by itself has said why of the format it was at, or refused all of them.
        for name in [current] if current else pending:
            message = failure or "the worker process left it out"
            if current and FORMATS[name].advice:
                message = f"{FORMATS[name].advice} ({message})"
            results[name] = {"status": "failed", "seconds": 0.0, "difference": None, "message": message}
            progress(_progress_line(name, results[name]))
        pending = [name for name in pending if name not in results]
    for name, before in earlier.items():
        results[name]["seconds"] += before["seconds"]
        if results[name]["status"] == "failed":
            first = FORMATS[name].engines[0]
            results[name]["message"] = (
                f"from {first}: {before['message']}; from {engine}: {results[name]['message']}"
            )


@contextlib.contextmanager
def _worker(engine, alone):
    """A worker for one job: a kept one, or one that ends with the block."""
    if _kept is None or alone:
        worker = Worker(engine)
        try:
            yield worker
        finally:
            worker.close()
        return
    with _busy:
        if engine in _kept and not _kept[engine].alive:
            _kept.pop(engine).close()
        if engine not in _kept:
            _kept[engine] = Worker(engine)
        try:
            yield _kept[engine]
        except BaseException:  # it may be in the middle of something
            _kept.pop(engine).close()
            raise


class Worker:
    """A process on one engine that works through the jobs sent to it."""

    def __init__(self, engine):
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (open for as long as the process)
        environment = {
            **os.environ,
            "KERAS_BACKEND": engine,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": os.pathsep.join(_path()),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kzoo.export.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
        )

    @property
    def alive(self):
        return self._process.poll() is None

    def close(self):
        """Ends the process, and frees what it held."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            with contextlib.suppress(OSError):
                stream.close()

    def run(self, job, results, progress):
        """Sends a job, files the results that the process reports, and tells of each.

        Returns:
            The format at which it stopped early (or `None` if before the first), and why (or `None`).
        """
        current, late, start = None, threading.Event(), self._log.seek(0, os.SEEK_END)

        def stop():
            late.set()
            self._process.kill()

        timer = threading.Timer(TIMEOUT, stop)
        timer.daemon = True
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(f"{job}\n".encode())
                self._process.stdin.flush()
            for line in self._process.stdout:
                try:
                    event = json.loads(line)
                except ValueError:  # cut off in the middle of a line
                    break
                if event["event"] == "refused":
                    return None, event["message"]
                if event["event"] == "finished":
                    return None, None
                current = event["format"]
                if event["event"] == "done":
                    results[current] = event
                    progress(_progress_line(current, event))
                    current = None
        finally:
            timer.cancel()
        code = self._process.wait()
        self._log.seek(start)
        return current, _last_words(code, late.is_set(), self._log.read().decode(errors="replace"))


def _path():
    return [entry or os.getcwd() for entry in sys.path]


def _progress_line(name, result):
    if result["status"] == "failed":
        return f"{name}: failed: {result['message']}"
    difference = "" if result["difference"] is None else f", differs by {float(result['difference']):.1e}"
    return f"{name}: {result['message']}{difference}, {result['seconds']:.1f} s"


def _last_words(code, late, log):
    if late:
        reason = f"the worker process was stopped after {TIMEOUT:.0f} s"
    elif code < 0:
        reason = f"the worker process was killed by {signal.Signals(-code).name}"
        reason += " (by the system, if memory ran out)" if -code == signal.SIGKILL else ""
    else:
        reason = f"the worker process ended with code {code}"
    lines = [line.strip() for line in log.splitlines() if line.strip() and not CHATTER.match(line)][-TAIL:]
    return f"{reason}. Its last messages: {' | '.join(lines)}" if lines else reason
