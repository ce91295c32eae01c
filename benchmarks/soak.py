"""Thousands of requests while versions are swapped and the server is stopped and started: none lost, none wrong.

```
python benchmarks/soak.py [--requests 10000] [--clients 8] [--out FILE]
```

Version `v` of the model answers `2 x + v`, and hands out all of its 24 weights, each of which is `v`: an answer
that mixes versions, or that comes before all weights were loaded, shows. Clients over REST and gRPC, which try
again, ask with numbers that differ from request to request. On the way three newer versions are published, and
once the server gets SIGTERM and, when it has ended, is started again on the same ports.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.argv[0] = "kzoo"  # as the command does: importing kzoo then imports no engine

from rich.console import Console  # noqa: E402

from kzoo.serve import Client  # noqa: E402

ROOT = Path(__file__).parents[1]
NAME, WEIGHTS, VERSIONS = "soak", 24, (1, 2, 3, 4)
LIMIT = 900.0  # seconds for all of it
ENVIRONMENT = {
    **os.environ,
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
}


def make_models(folder):
    """Writes `folder/spare/VERSION` for each version."""
    import tensorflow as tf

    for number in VERSIONS:
        module = tf.Module()
        module.weights = [tf.Variable(tf.fill([64], float(number))) for _ in range(WEIGHTS)]

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")])
        def serve(x, module=module):
            parts = tf.stack([tf.reduce_mean(weight) for weight in module.weights])
            return {
                "y": 2.0 * x + tf.reduce_mean(parts),
                "parts": tf.ones_like(x[:, :1]) * parts[None],
            }

        tf.saved_model.save(module, str(folder / "spare" / str(number)), signatures=serve)


class Soak:
    """One run: its server, its clients, and what they saw."""

    def __init__(self, folder, requests, clients, progress):
        self.folder, self.requests, self.clients, self.progress = folder, requests, clients, progress
        self.published, self.next, self.done = [], 0, 0
        self.seen, self.wrong, self.lost, self.seconds = Counter(), [], [], []
        self.lock, self.restart_seconds = threading.Lock(), None
        self.ports = [free_port(), free_port()]
        self.log = open(folder / "server.log", "w", encoding="utf-8")  # noqa: SIM115 - closed in run
        self.server = None

    def run(self):
        """Does all of it and gives the report."""
        self.publish(1)
        self.start_server()
        threads = [threading.Thread(target=self.ask, args=(index,)) for index in range(self.clients)]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        steps = [
            (0.15, lambda: self.publish(2)),
            (0.35, lambda: self.publish(3)),
            (0.55, self.restart_server),
            (0.75, lambda: self.publish(4)),
        ]
        for share, step in steps:
            while self.done < share * self.requests and time.monotonic() - started < LIMIT:
                time.sleep(0.01)
            step()
        for thread in threads:
            thread.join(max(1.0, LIMIT - (time.monotonic() - started)))
        seconds = time.monotonic() - started
        code = self.stop_server()
        self.log.close()
        ordered = sorted(self.seconds) or [0.0]
        return {
            "requests": self.requests,
            "clients": self.clients,
            "answered": self.done,
            "lost": len(self.lost),
            "wrong": len(self.wrong),
            "examples": [*self.lost[:3], *self.wrong[:3]],
            "by_version": {str(number): self.seen[number] for number in VERSIONS},
            "exit_code": code,
            "seconds": round(seconds, 1),
            "restart_seconds": round(self.restart_seconds or 0.0, 1),
            "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
            "p99_ms": round(1000 * ordered[int(0.99 * (len(ordered) - 1))], 2),
            "longest_ms": round(1000 * ordered[-1], 1),
            "load_failures": sum('"load_failed"' in line for line in (self.folder / "server.log").open()),
        }

    def ask(self, index):
        """One client: takes the next request until there is none."""
        protocol, port = (("rest", self.ports[0]), ("grpc", self.ports[1]))[index % 2]
        random = np.random.default_rng(index)
        with Client(
            f"127.0.0.1:{port}", NAME, protocol=protocol, timeout=120, retries=10_000, max_backoff=0.5
        ) as client:
            while True:
                with self.lock:
                    if self.next >= self.requests:
                        return
                    self.next += 1
                    before = len(self.published)
                x = random.integers(-1000, 1000, size=(1 + index % 3, 4)).astype("float32")
                started = time.perf_counter()
                try:
                    answer = client.predict(x)
                except Exception as error:
                    with self.lock:
                        self.lost.append(repr(error))
                    continue
                taken = time.perf_counter() - started
                with self.lock:
                    self.done += 1
                    self.seconds.append(taken)
                    self.judge(x, answer, before)

    def judge(self, x, answer, before):
        """Files an answer under its version, or as wrong. The lock is held."""
        version = float(answer["parts"].flat[0])
        right = (
            answer["parts"].shape == (len(x), WEIGHTS)
            and (answer["parts"] == version).all()
            and version in self.published
            and version >= self.published[0]
            and np.array_equal(answer["y"], 2 * x + version)
        )
        if right:
            self.seen[int(version)] += 1
        else:
            self.wrong.append(f"{before} published, x={x.tolist()}, answer={answer}")

    def publish(self, number):
        """Makes a version appear, whole."""
        base = self.folder / "models" / NAME
        aside = base / f".tmp-{number}"
        shutil.copytree(self.folder / "spare" / str(number), aside)
        with self.lock:
            self.published.append(number)
        aside.rename(base / str(number))
        self.progress(f"{self.done} answered; version {number} published")

    def start_server(self):
        rest, grpc = map(str, self.ports)
        command = [sys.executable, "-m", "kzoo", "serve", str(self.folder / "models")]
        self.server = subprocess.Popen(
            [*command, "--rest-port", rest, "--grpc-port", grpc, "--poll-seconds", "0.2"],
            cwd=ROOT,
            env=ENVIRONMENT,
            stderr=self.log,
        )
        if len(self.published) == 1:
            with Client(f"127.0.0.1:{rest}", NAME, timeout=120, retries=10_000, max_backoff=0.5) as client:
                client.status()

    def stop_server(self):
        self.server.send_signal(signal.SIGTERM)
        return self.server.wait(60)

    def restart_server(self):
        started = time.monotonic()
        code = self.stop_server()
        self.progress(
            f"{self.done} answered; SIGTERM, ended with code {code} in {time.monotonic() - started:.1f} s"
        )
        answered = self.done
        self.start_server()
        while self.done < answered + self.clients and time.monotonic() - started < 120:
            time.sleep(0.01)
        self.restart_seconds = time.monotonic() - started


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--out", default=str(ROOT / "benchmarks" / "soak.json"))
    parser.add_argument("--make", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_models(Path(options.make))
        return 0
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "--make", folder], env=ENVIRONMENT, check=True)
        report = Soak(Path(folder), options.requests, options.clients, console.print).run()
    report |= {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
    }
    Path(options.out).write_text(json.dumps(report, indent=1) + "\n")
    console.print_json(json.dumps(report))
    whole = report["answered"] == options.requests and not report["lost"] and not report["wrong"]
    return 0 if whole and report["exit_code"] == 0 and all(report["by_version"].values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
