"""Sparse attention beside dense, by length: time and memory of a step, measured in turn in one run.

```
python benchmarks/attention.py [--engine tensorflow,torch,jax] [--lengths 512,1024] [--rounds 10] [--out FILE]
```

A step is the value and the gradients to queries, keys and values, compiled as `fit` does on each engine. One example
of two heads of 32 features; the window is 128, the stride 64, blocks hold 64 places in groups of four. Dense is causal
attention on the engine's best way, which on PyTorch is a fused kernel that never holds the matrix of weights;
`written out` is the same with that matrix. A round runs all kinds one after the other, in changing order; ratios are
those of the medians, with the quartiles of the rounds' ratios. Memory is the most that a fresh process has held during
one step, less what it held before. A run goes on where it was stopped, on the same day; without FILE it begins anew.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from losses import ENGINES, ROUND_SECONDS, finished, held, seconds, stepper  # noqa: E402

LENGTHS = (512, 1024, 2048, 4096, 8192)
WINDOW, STRIDE, BLOCK, GROUP = 128, 64, 64, 4
HEADS, HEAD_DIM = 2, 32
KINDS = ("dense", "written out", "local", "strided", "blocks")


# ---------------------------------------------------------------- in a process of one engine


def loss(kind):
    """A number that depends on all of the output: a function of queries, keys and values `(3, 1, t, n, h)`."""
    from keras import ops

    from kzoo.ops import (
        block_sparse_attention,
        dot_product_attention,
        fixed_layout,
        local_attention,
        strided_attention,
    )

    def blocks(*heads):
        return block_sparse_attention(
            *heads, fixed_layout(-(-heads[0].shape[1] // BLOCK), GROUP), BLOCK, causal=True
        )

    attend = {
        "dense": lambda *heads: dot_product_attention(*heads, causal=True),
        "written out": lambda *heads: dot_product_attention(*heads, causal=True, return_weights=True)[0],
        "local": lambda *heads: local_attention(*heads, WINDOW, causal=True),
        "strided": lambda *heads: strided_attention(*heads, STRIDE),
        "blocks": blocks,
    }[kind]
    return lambda heads: ops.mean(ops.square(attend(heads[0], heads[1], heads[2])))


def drawn(length):
    import numpy as np

    shape = (3, 1, length, HEADS, HEAD_DIM)
    return (np.random.default_rng(0).normal(size=shape).astype("float32"),)


def child(engine, length, rounds):
    """Prints one line of JSON: milliseconds per step of each round, by kind."""
    steps = {kind: stepper(loss(kind), drawn(length), engine) for kind in KINDS}
    counts = {}
    for kind, step in steps.items():
        seconds(step, 2, engine)  # compiles
        counts[kind] = max(1, round(ROUND_SECONDS / seconds(step, 1, engine)))
    times = {kind: [] for kind in KINDS}
    for index in range(rounds):
        for kind in KINDS if index % 2 == 0 else reversed(KINDS):
            times[kind].append(1000 * seconds(steps[kind], counts[kind], engine) / counts[kind])
    print(json.dumps(times))


def memory_child(engine, kind, length):
    """Prints the mebibytes that one step takes on top of what the process holds."""
    finished(stepper(loss(kind), drawn(2 * WINDOW + 1), engine)(), engine)
    arguments = drawn(length)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts anew from what is held now
    before = held("VmRSS")
    finished(stepper(loss(kind), arguments, engine)(), engine)
    print(json.dumps(held("VmHWM") - before))


# ---------------------------------------------------------------- outside


def answer(engine, *arguments):
    """What a child process prints."""
    environment = os.environ | {"KERAS_BACKEND": engine, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-W", "ignore", __file__, *map(str, arguments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def ratio(times, kind):
    """Of the medians to dense attention's, and the quartiles of the rounds' ratios."""
    ratios = [a / b for a, b in zip(times[kind], times["dense"])]
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return [statistics.median(times[kind]) / statistics.median(times["dense"]), low, high]


def show(report, console):
    from rich.table import Table

    for engine, lengths in report["engines"].items():
        table = Table(
            "length", "kind", "ms", "÷ dense", "MiB", "÷ dense", title=f"{engine}, {report['rounds']} rounds"
        )
        for length, found in lengths.items():
            memory = found["memory_mib"]
            for kind in KINDS:
                time = statistics.median(found["times_ms"][kind])
                share = "{:.2f} ({:.2f}–{:.2f})".format(*found["ratios"][kind])
                part = f"{memory[kind] / max(memory['dense'], 1e-3):.2f}"
                table.add_row(length, kind, f"{time:.2f}", share, f"{memory[kind]:.0f}", part)
        console.print(table)


def main():
    from measured import machine
    from rich.console import Console
    from rich.progress import track

    from kzoo.files import write_json

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default=",".join(ENGINES), help="comma-separated; default: %(default)s")
    parser.add_argument(
        "--lengths", default=",".join(map(str, LENGTHS)), help="comma-separated; default: %(default)s"
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=HERE / "attention.json")
    arguments = parser.parse_args()
    engines = arguments.engine.split(",")
    if unknown := set(engines) - set(ENGINES):
        parser.error(f"choose from {', '.join(ENGINES)}. Received: {', '.join(sorted(unknown))}")
    lengths = [int(length) for length in arguments.lengths.split(",")]
    console = Console()
    report = {"machine": machine(), "rounds": arguments.rounds, "engines": {engine: {} for engine in engines}}
    if arguments.out.exists():  # a run that was stopped goes on, on the same day and machine
        before = json.loads(arguments.out.read_text())
        if (before["machine"], before["rounds"]) == (report["machine"], report["rounds"]):
            report["engines"] |= before["engines"]
    pairs = [(e, length) for e in engines for length in lengths if str(length) not in report["engines"][e]]
    for engine, length in track(pairs, "engines and lengths", console=console):
        times = answer(engine, "--child", engine, length, arguments.rounds)
        report["engines"][engine][str(length)] = {
            "times_ms": times,
            "ratios": {kind: ratio(times, kind) for kind in KINDS},
            "memory_mib": {kind: answer(engine, "--memory-child", engine, kind, length) for kind in KINDS},
        }
        write_json(arguments.out, report)  # now: a later one may be stopped
    show(report, console)
    console.print(f"wrote {arguments.out}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1:2] == ["--memory-child"]:
        memory_child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
