"""Mixed precision beside float32: time of a training step and peak memory, per engine, in turn in one run.

```
python benchmarks/precision.py [--rounds 7] [--engines jax,torch]
```

Each engine and precision trains the same CNN in a process of its own and computes only when asked; a round asks each
once. Ratios are taken round by round. Writes `precision.json` and prints the table.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kzoo.files import write_json
from kzoo.machine import machine

HERE = Path(__file__).parent
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
BATCH, STEPS = 128, 8


def work(precision):
    """Answers every line of standard input with the milliseconds of a step and the peak memory so far."""
    import keras
    import numpy as np

    import kzoo
    from kzoo import backend

    keras.config.set_dtype_policy(precision)
    kzoo.set_seed(0)
    model = kzoo.create_model("cnn", image_shape=(28, 28, 1), num_classes=10)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, 28, 28, 1)).astype("float32")
    y = rng.integers(0, 10, BATCH)
    for _ in sys.stdin:
        start = time.perf_counter()
        for _ in range(STEPS):
            loss = model.train_on_batch(x, y)  # gives a number, so that it waits for the engine
        seconds = (time.perf_counter() - start) / STEPS
        answer = {"ms": 1000 * seconds, "mb": backend.peak_memory() / 1e6, "loss": float(loss)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--engines", default="tensorflow,torch,jax")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work(options.work)
    started, rows = {}, {}
    for engine in options.engines.split(","):
        for precision in PRECISIONS:
            environment = os.environ | {"KERAS_BACKEND": engine, "TF_CPP_MIN_LOG_LEVEL": "3"}
            command = [sys.executable, "-W", "ignore", __file__, "--work", precision]
            started[engine, precision] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
    for index in range(options.rounds + 1):
        for key, process in started.items():
            process.stdin.write("\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            if index:  # the first compiles
                rows.setdefault(key, []).append(answer)
    for process in started.values():
        process.stdin.close()
        process.wait()
    table, written = Table("engine", "precision", "ms a step", "× float32", "peak MB", title=machine()), []
    for (engine, precision), answers in rows.items():
        plain = rows[engine, "float32"]
        ratios = [ours["ms"] / theirs["ms"] for ours, theirs in zip(answers, plain)]
        row = {
            "engine": engine,
            "precision": precision,
            "ms": statistics.median(answer["ms"] for answer in answers),
            "ratio": statistics.median(ratios),
            "ratios": [round(ratio, 3) for ratio in sorted(ratios)],
            "peak_mb": answers[-1]["mb"],
            "loss": answers[-1]["loss"],
        }
        written.append(row)
        table.add_row(engine, precision, f"{row['ms']:.0f}", f"{row['ratio']:.2f}", f"{row['peak_mb']:,.0f}")
    Console().print(table)
    write_json(
        HERE / "precision.json", {"machine": machine(), "date": time.strftime("%Y-%m-%d"), "rows": written}
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
