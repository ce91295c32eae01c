"""Starts the worker process, listens to it, and outlives it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading

TIMEOUT = 3600.0  # seconds for one worker: it hangs if it takes longer
TAIL = 8  # lines of a dead worker's messages to quote
CHATTER = re.compile(r"[IW]\d{4} |WARNING: All log messages|.*(cuInit|cudart)")


def work(job, staging, progress):
    """Converts in a worker process, and sees to it that one format cannot harm another.

    A format that takes its worker down is given up, and those after it get a new worker.

    Args:
        job: what `worker.py` reads; its `formats` are to be done in turn.
        staging: the directory of the job's files and of the artefacts.
        progress: a function called with a line of text for each format.

    Returns:
        A dict by format of `passed`, `seconds`, `difference` (text or `None`) and `message`.
    """
    results, pending = {}, list(job["formats"])
    while pending:
        (staging / "job.json").write_text(json.dumps({**job, "formats": pending}), encoding="utf-8")
        current, failure = _run_worker(staging, results, progress)
        pending = [name for name in pending if name not in results]
        for name in [current] if current else pending:
            if failure and name in pending:
                results[name] = {"passed": False, "seconds": 0.0, "difference": None, "message": failure}
                progress(f"{name}: failed: {failure}")
                pending = [other for other in pending if other != name]
    return results


def _run_worker(staging, results, progress):
    """Runs one worker and files the results that it reports.

    Returns:
        The format at which it stopped early (or `None` if before the first), and why (or `None`).
    """
    command = [sys.executable, "-P", "-m", "kzoo.export.worker", str((staging / "job.json").resolve())]
    current, late = None, threading.Event()
    with open(staging / "worker.log", "w+b") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=_environment()
        )

        def stop():
            late.set()
            process.kill()

        timer = threading.Timer(TIMEOUT, stop)
        timer.daemon = True
        timer.start()
        try:
            for line in process.stdout:
                try:
                    event = json.loads(line)
                except ValueError:  # cut off in the middle of a line
                    break
                if event["event"] == "refused":
                    return None, event["message"]
                current = event["format"]
                if event["event"] == "done":
                    results[current] = event
                    progress(_progress_line(event))
                    current = None
            code = process.wait()
        finally:
            timer.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
        if code == 0:
            return None, None
        log.seek(0)
        return current, _last_words(code, late.is_set(), log.read().decode(errors="replace"))


def _environment():
    path = [entry or os.getcwd() for entry in sys.path]
    return {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(path),
    }


def _progress_line(event):
    if not event["passed"]:
        return f"{event['format']}: failed: {event['message']}"
    difference = float(event["difference"])
    return f"{event['format']}: {event['message']}, differs by {difference:.1e}, {event['seconds']:.1f} s"


def _last_words(code, late, log):
    if late:
        reason = f"the worker process was stopped after {TIMEOUT:.0f} s"
    elif code < 0:
        reason = f"the worker process was killed by {signal.Signals(-code).name}"
    else:
        reason = f"the worker process ended with code {code}"
    lines = [line.strip() for line in log.splitlines() if line.strip() and not CHATTER.match(line)][-TAIL:]
    return f"{reason}. Its last messages: {' | '.join(lines)}" if lines else reason
