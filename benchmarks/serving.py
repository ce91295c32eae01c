"""Throughput and latency of `kzoo serve`, beside a plain `model.predict` loop, measured in one run.

```
python benchmarks/serving.py [--quick] [--clients 1,8,64] [--out FILE]
```

A small CNN answers single images. The server runs in a process of its own, once with batching and once without;
the clients are threads of this process with one connection each, all on this machine, so that clients and server
share its cores. Every answer is compared with the model's own. Keras's `predict` and the bare SavedModel are timed
in a process of their own, one image at a time, before and after the servers. The table is printed and written as
JSON and, beside it, Markdown.
"""

import argparse
import contextlib
import http.client
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.argv[0] = "kzoo"  # as the command does: importing kzoo then imports no engine

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

ROOT = Path(__file__).parents[1]
NAME, SIZE, CLASSES = "cnn", 28, 10
IMAGES = 32  # different ones, asked for in turn
TOLERANCE = 1e-4
ENVIRONMENT = {
    **os.environ,
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
}


def make_model(folder):
    """Writes the CNN as `cnn.keras` and as version 1 of a served model, images and what the model says of them."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1), name="image"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
        ]
        + [layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
        + [layers.Dense(128, activation="relu"), layers.Dense(CLASSES)]
    )
    module = tf.Module()
    module.kept = [variable.value for variable in model.variables]
    spec = tf.TensorSpec([None, SIZE, SIZE, 1], tf.float32, "image")
    serve = tf.function(lambda image: {"logits": model(image, training=False)}, input_signature=[spec])
    tf.saved_model.save(module, str(folder / NAME / "1"), signatures=serve)
    model.save(folder / "cnn.keras")
    images = np.random.default_rng(0).normal(size=(IMAGES, SIZE, SIZE, 1)).astype("float32")
    np.savez(folder / "data.npz", images=images, logits=model.predict(images, verbose=0))


def time_loops(folder, count):
    """Prints seconds per image, one image at a time, of `model.predict` and of the SavedModel's function."""
    import keras
    import tensorflow as tf

    images = np.load(folder / "data.npz")["images"]
    model = keras.saving.load_model(folder / "cnn.keras")
    loaded = tf.saved_model.load(str(folder / NAME / "1"))
    function = loaded.signatures["serving_default"]
    ways = {
        "model.predict": lambda image: model.predict(image, verbose=0),
        "SavedModel": lambda image: function(image=tf.constant(image))["logits"].numpy(),
    }
    for call in ways.values():
        for index in range(10):
            call(images[index : index + 1])
    seconds = {}
    for name, call in ways.items():
        taken = []
        for index in range(count):
            image = images[index % IMAGES][None]
            started = time.perf_counter()
            call(image)
            taken.append(time.perf_counter() - started)
        seconds[name] = taken
    print(json.dumps(seconds))


class Served:
    """A server in a process of its own."""

    def __init__(self, folder, *options):
        command = [sys.executable, "-m", "kzoo", "serve", str(folder), "--rest-port", "0", "--grpc-port", "0"]
        self.process = subprocess.Popen(
            [*command, *options], cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
        )
        for line in self.process.stderr:
            if '"event": "serving"' in line:
                addresses = json.loads(line)
                break
        else:
            raise RuntimeError("the server did not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        self.rest, self.grpc = addresses["rest"].removeprefix("http://"), addresses["grpc"]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


class RestCaller:
    """One keep-alive connection that asks for prepared requests."""

    def __init__(self, server, bodies):
        self._connection = http.client.HTTPConnection(server.rest, timeout=60)
        self._bodies = bodies

    @staticmethod
    def prepare(images):
        return [json.dumps({"instances": image[None].tolist()}).encode() for image in images]

    def ask(self, index):
        self._connection.request("POST", f"/v1/models/{NAME}:predict", self._bodies[index])
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(body.decode())
        return body

    @staticmethod
    def logits(answer):
        return np.array(json.loads(answer)["predictions"])[0]


class GrpcCaller:
    """One channel that asks for prepared requests."""

    def __init__(self, server, bodies):
        import grpc

        options = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own
        self._channel = grpc.insecure_channel(server.grpc, options)
        self._predict = self._channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        self._bodies = bodies

    @staticmethod
    def prepare(images):
        from kzoo.serve import protocol

        bodies = []
        for image in images:
            request = protocol.predict_pb2.PredictRequest(model_spec={"name": NAME})
            request.inputs["image"].CopyFrom(protocol.to_proto(image[None]))
            bodies.append(request.SerializeToString())
        return bodies

    def ask(self, index):
        return self._predict(self._bodies[index], timeout=60)

    @staticmethod
    def logits(answer):
        from kzoo.serve import protocol

        return protocol.from_proto(protocol.predict_pb2.PredictResponse.FromString(answer).outputs["logits"])[
            0
        ]


CALLERS = {"REST": RestCaller, "gRPC": GrpcCaller}


def load(server, kind, clients, count, data):
    """Asks `count` times with so many clients at once; seconds of each, all of them, and whether all were right."""
    bodies = CALLERS[kind].prepare(data["images"])
    barrier = threading.Barrier(clients + 1)
    taken, answers, failures = [[] for _ in range(clients)], [[] for _ in range(clients)], []

    def work(client):
        try:
            caller = CALLERS[kind](server, bodies)
            for index in range(3):
                caller.ask(index)
            barrier.wait()
            for step in range(client, count, clients):
                started = time.perf_counter()
                answer = caller.ask(step % IMAGES)
                taken[client].append(time.perf_counter() - started)
                answers[client].append((step % IMAGES, answer))
        except Exception as error:
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    with contextlib.suppress(threading.BrokenBarrierError):  # a client has failed, and says why
        barrier.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if failures:
        raise RuntimeError(f"a request failed: {failures[0]!r}")
    worst = max(
        float(np.abs(CALLERS[kind].logits(answer) - data["logits"][index]).max())
        for one in answers
        for index, answer in one
    )
    if worst > TOLERANCE:
        raise RuntimeError(f"an answer differs from the model's by {worst}")
    return {
        **summary([value for one in taken for value in one]),
        "per_second": count / seconds,
        "difference": worst,
    }


def summary(seconds):
    """Milliseconds: median and 99th percentile."""
    ordered = sorted(seconds)
    return {
        "count": len(ordered),
        "p50_ms": 1000 * statistics.median(ordered),
        "p99_ms": 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
    }


def loops(folder, count):
    """What `time_loops` prints, summed up."""
    command = [sys.executable, __file__, "--loops", str(folder), "--count", str(count)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return {
        name: {**summary(seconds), "per_second": len(seconds) / sum(seconds)}
        for name, seconds in json.loads(done.stdout.splitlines()[-1]).items()
    }


def measure(folder, clients, quick, progress):
    """All rows of the table, as dicts."""
    subprocess.run([sys.executable, __file__, "--make", str(folder)], env=ENVIRONMENT, check=True)
    data = dict(np.load(folder / "data.npz"))
    counts = {
        number: (200 if quick else 2000) if number == 1 else (400 if quick else 5000) for number in clients
    }
    rows = []

    def note(row):
        rows.append(row)
        progress(f"{row['what']}, {row['clients']} client(s): {row['per_second']:.0f} a second")

    def note_loops():
        for name, figures in loops(folder, 100 if quick else 500).items():
            note({"what": f"{name} loop", "clients": 1, **figures})

    note_loops()
    for batching in (True, False):
        with Served(folder, *([] if batching else ["--no-batching"])) as server:
            for kind in CALLERS:
                load(server, kind, 8, 200, data)
                for number in clients:
                    figures = load(server, kind, number, counts[number], data)
                    what = f"{kind}, {'batching' if batching else 'no batching'}"
                    note({"what": what, "clients": number, **figures})
    note_loops()
    return rows


def table_of(rows):
    table = Table("", "clients", "requests/s", "p50 ms", "p99 ms")
    for row in rows:
        figures = (f"{row['per_second']:.0f}", f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}")
        table.add_row(row["what"], str(row["clients"]), *figures)
    return table


def markdown_of(report):
    lines = [
        "| one image a request | clients | requests/s | p50 ms | p99 ms |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in report["rows"]:
        cells = [
            row["what"],
            row["clients"],
            f"{row['per_second']:.0f}",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", f"{report['machine']}, {report['date']}; clients and server share the cores."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument("--clients", default="1,8,64")
    parser.add_argument("--out", default=str(ROOT / "benchmarks" / "serving.json"))
    parser.add_argument("--make", help=argparse.SUPPRESS)
    parser.add_argument("--loops", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        return make_model(Path(options.make))
    if options.loops:
        return time_loops(Path(options.loops), options.count)
    console = Console()
    clients = [int(number) for number in options.clients.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), clients, options.quick, console.print)
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "rows": rows,
    }
    out = Path(options.out)
    out.write_text(json.dumps(report, indent=1) + "\n")
    out.with_name("SERVING.md").write_text(markdown_of(report))
    console.print(table_of(rows))
    return None


if __name__ == "__main__":
    main()
