"""A model server in a process of its own, as `kzoo serve` starts it; small SavedModels made once for all tests."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENT = {
    **os.environ,
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join(map(str, (HERE.parents[1], HERE))),
}
ENVIRONMENT.pop("KZOO_TOKEN", None)


def make_models(folder):
    """Writes what `make_models.py` describes, in a process with TensorFlow."""
    command = [sys.executable, str(HERE / "make_models.py"), str(folder)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return Path(folder)


class Launched:
    """A running server.

    Args:
        directory: what it serves.
        *options: further words of its command line.
        ports: of REST and gRPC; 0 takes a free one.

    Attributes:
        rest, grpc: addresses, such as `http://127.0.0.1:40001` and `127.0.0.1:40002`.
        events: what it has logged so far, as dicts.
    """

    def __init__(self, directory, *options, ports=(0, 0), environment=None):
        rest, grpc = map(str, ports)
        command = [
            *(sys.executable, "-m", "kzoo", "serve"),
            str(directory),
            "--rest-port",
            rest,
            "--grpc-port",
            grpc,
        ]
        self.process = subprocess.Popen(
            [*command, "--poll-seconds", "0.2", *map(str, options)],
            env=ENVIRONMENT | (environment or {}),
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events, self.noise = [], []
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        started = self.wait_for("serving", timeout=120)
        self.rest, self.grpc = started["rest"], started["grpc"]

    def _read(self):
        for line in self.process.stderr:
            with self._news:
                try:
                    self.events.append(json.loads(line))
                except ValueError:
                    self.noise.append(line)
                self._news.notify_all()
        with self._news:
            self.events.append({"event": "the end"})
            self._news.notify_all()

    def wait_for(self, event, timeout=30, **known):
        """The first logged event of that name, and of these values, when it has come."""
        until = time.monotonic() + timeout
        with self._news:
            while True:
                for one in self.events:
                    if one["event"] == event and all(one.get(key) == value for key, value in known.items()):
                        return one
                    if one["event"] == "the end":
                        raise RuntimeError(
                            f"the server ended: {''.join(self.noise[-20:])} {self.events[-5:]}"
                        )
                if not self._news.wait(until - time.monotonic()):
                    raise TimeoutError(f"no {event} {known}. Received: {self.events[-5:]}")

    def terminate(self):
        """Sends SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """Sends SIGTERM and gives the exit code."""
        if self.process.poll() is None:
            self.terminate()
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


RIGHT = {"instances": [[1.0, 2.0, 3.0]]}


def serves_on(web):
    """Whether a right request is answered rightly."""
    answer = web.post("/v1/models/scale:predict", json=RIGHT)
    return answer.status_code == 200 and answer.json() == {"predictions": [[3.0, 5.0, 7.0]]}
