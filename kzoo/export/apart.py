"""A function in a process of its own: started with a job, listened to, ended with its caller.

The caller's side is `call`; a module that can be called ends with `run(main)`, where `main(job, progress)`
returns what JSON can carry.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

TAIL = 6  # lines of a dead process to quote


class ApartError(RuntimeError):
    """What ran apart failed: refused its job, died, or took too long. The message says which."""


def call(module, job, folder, timeout, progress=None, *, bare=False, **environment):
    """Runs `python -m module` on a job and returns its result.

    Args:
        module: the module's name.
        job: a dict that JSON can carry.
        folder: where the job and the process's messages are written.
        timeout: seconds after which the process is killed.
        progress: a function called with each line of text that it reports.
        bare: whether `import kzoo` is to import nothing else there, as it does in the `kzoo` command; else it
            imports Keras.
        **environment: variables to set beside those of this process.

    Raises:
        ApartError: if there is no result.
    """
    folder = Path(folder)
    file, log = folder / f"{module}.json", folder / f"{module}.log"
    file.write_text(json.dumps(job), encoding="utf-8")
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    command, late = [sys.executable, "-P", "-m", module, str(file.resolve())], threading.Event()
    command += ["-m", "kzoo"] if bare else []  # what `kzoo/__init__.py` tells its command by
    with open(log, "wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # closes when this process ends, however it ends: see `_end_with`
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": path, **environment},
        )

    def stop():
        late.set()
        process.kill()

    timer = threading.Timer(timeout, stop)
    timer.daemon = True
    timer.start()
    try:
        for line in process.stdout:
            try:
                event = json.loads(line)
            except ValueError:  # cut off in the middle of a line
                break
            if "progress" in event and progress is not None:
                progress(event["progress"])
            if "error" in event:
                raise ApartError(event["error"])
            if "result" in event:
                return event["result"]
        code = process.wait()
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                stream.close()
    raise ApartError(_last_words(code, timeout if late.is_set() else None, log))


def run(main):
    """Runs `main(job, progress)` in a module started by `call`, and ends the process."""
    threading.Thread(target=_end_with, args=(sys.stdin.fileno(),), daemon=True).start()
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries write there goes to standard error

    def say(**event):
        stream.write(json.dumps(event) + "\n")
        stream.flush()

    try:
        job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        say(result=main(job, lambda line: say(progress=line)))
    except Exception as error:
        import traceback

        from kzoo.export.report import in_short

        traceback.print_exc()
        say(error=in_short(error))
    sys.stderr.flush()
    os._exit(0)  # TensorFlow and the interpreter take seconds to come down


def _end_with(caller):
    """Ends this process when its caller does, so that nobody writes into a folder that is given up."""
    while os.read(caller, 1):
        pass
    os._exit(1)


def _last_words(code, timeout, log):
    if timeout is not None:
        reason = f"its process was stopped after {timeout:.0f} s"
    elif code < 0:
        reason = f"its process was killed by {signal.Signals(-code).name}"
    else:
        reason = f"its process ended with code {code}"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()][-TAIL:]
    return f"{reason}. Its last messages: {' | '.join(lines)}" if lines else reason
