"""Each loss and metric of kzoo beside the same written plainly or found elsewhere, measured in turn in one run.

```
python benchmarks/losses.py [--engine tensorflow,torch,jax] [--rounds 30] [--only NTXent] [--memory] [--out FILE]
```

A step is value and gradient of a loss, or one update of a metric, compiled as `fit` does on each engine: `jax.jit`,
`tf.function`, PyTorch as it is. A round runs ours and theirs one after the other, in changing order; the ratio is that
of the medians, its quartiles those of the rounds' ratios. Memory is the most a fresh process has held during one step
of NT-Xent, less what it held before: with blocks and with the whole matrix, by batch.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
ENGINES = ("tensorflow", "torch", "jax")
BATCHES = (512, 1024, 2048, 4096)
ROUND_SECONDS = 0.02  # a side of a round lasts at least so long
HEADER = ("what", "ours, ms", "theirs, ms", "ratio")


# ---------------------------------------------------------------- in a process of one engine


def compiled(function, engine):
    if engine == "jax":
        import jax

        return jax.jit(function)
    if engine == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    return function


def finished(result, engine):
    """Waits for an engine that computes behind our back."""
    if engine == "jax":
        import jax

        jax.block_until_ready(result)


def stepper(side, arguments, engine):
    """A function that makes one step."""
    import keras
    from keras import ops

    import kzoo

    arguments = [ops.convert_to_tensor(a) for a in arguments]
    if isinstance(side, keras.metrics.Metric):
        if engine != "jax":
            return compiled(lambda: side.update_state(*arguments), engine)
        update = compiled(side.stateless_update_state, engine)
        state = [variable.value for variable in side.variables]
        return lambda: update(state, *arguments)
    *given, last = arguments
    step = compiled(lambda x, *given: kzoo.value_and_grad(lambda x: side(*given, x))(x), engine)
    return lambda: step(last, *given)


def seconds(step, count, engine):
    began = time.perf_counter()
    for _ in range(count):
        result = step()
    finished(result, engine)
    return time.perf_counter() - began


def measure(ours, theirs, arguments, engine, rounds):
    """Milliseconds per step of each round: ours and theirs."""
    steps = [stepper(side, arguments, engine) for side in (ours, theirs)]
    for step in steps:
        seconds(step, 2, engine)  # compiles
    longest = max(seconds(step, 3, engine) / 3 for step in steps)
    count = max(1, round(ROUND_SECONDS / longest))
    times = [[], []]
    for index in range(rounds):
        for side in (0, 1) if index % 2 == 0 else (1, 0):
            times[side].append(1000 * seconds(steps[side], count, engine) / count)
    return {"ours": times[0], "theirs": times[1]}


def child(engine, rounds, only):
    """Prints one line of JSON per pair."""
    import loss_peers

    for kind, pairs in (("loss", loss_peers.loss_pairs()), ("metric", loss_peers.metric_pairs())):
        for name, (ours, theirs, arguments) in pairs.items():
            if any(part in name for part in only.split(",")):
                times = measure(ours, theirs, arguments, engine, rounds)
                print(json.dumps({"name": name, "kind": kind} | times), flush=True)


def memory_child(engine, side, batch):
    """Prints the mebibytes that one step of NT-Xent takes on top of what the process holds."""
    import loss_peers

    from kzoo import losses

    function = losses.NTXent() if side == "ours" else loss_peers.Plain(loss_peers.nt_xent)
    finished(stepper(function, (loss_peers.draw(8), loss_peers.draw(8, 2, 128)), engine)(), engine)
    arguments = loss_peers.draw(batch), loss_peers.draw(batch, 2, 128)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts anew from what is held now
    before = held("VmRSS")
    finished(stepper(function, arguments, engine)(), engine)
    print(json.dumps(held("VmHWM") - before))


def held(what):
    """Mebibytes, from the process's own status."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(what)) / 1024


# ---------------------------------------------------------------- outside


def lines(engine, *arguments):
    """The lines of JSON of a child process."""
    environment = os.environ | {"KERAS_BACKEND": engine, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-W", "ignore", __file__, *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def summary(times):
    """Medians, their ratio, and the quartiles of the rounds' ratios."""
    ratios = [a / b for a, b in zip(times["ours"], times["theirs"])]
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    ours, theirs = statistics.median(times["ours"]), statistics.median(times["theirs"])
    return {"ours_ms": ours, "theirs_ms": theirs, "ratio": ours / theirs, "quartiles": [low, high]}


def show(report, console):
    from rich.table import Table

    for engine, result in report["engines"].items():
        table = Table(*HEADER, title=f"{engine}, {report['rounds']} rounds")
        for name, found in result.get("steps", {}).items():
            low, high = found["quartiles"]
            ratio = f"{found['ratio']:.2f} ({low:.2f}–{high:.2f})"
            table.add_row(name, f"{found['ours_ms']:.3f}", f"{found['theirs_ms']:.3f}", ratio)
        for batch, found in result.get("memory_mib", {}).items():
            ours, theirs = (f"{found[side]:.0f} MiB" for side in ("ours", "theirs"))
            table.add_row(f"NTXent, memory, batch {batch}", ours, theirs, "")
        console.print(table)


def main():
    from measured import machine
    from rich.console import Console

    from kzoo.files import write_json

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default=",".join(ENGINES), help="comma-separated; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", default="", help="names that contain one of these, parted by commas")
    parser.add_argument("--memory", action="store_true", help="the memory of NT-Xent alone")
    parser.add_argument("--out", type=Path, default=HERE / "losses.json")
    arguments = parser.parse_args()
    engines = arguments.engine.split(",")
    if unknown := set(engines) - set(ENGINES):
        parser.error(f"choose from {', '.join(ENGINES)}. Received: {', '.join(sorted(unknown))}")
    console = Console()
    report = {"machine": machine(), "rounds": arguments.rounds, "engines": {}}
    for engine in engines:
        result = report["engines"][engine] = {}
        if not arguments.memory:
            found = lines(engine, "--child", engine, str(arguments.rounds), arguments.only)
            result["steps"] = {pair["name"]: {"kind": pair["kind"]} | summary(pair) for pair in found}
        if arguments.memory or not arguments.only:
            result["memory_mib"] = {
                batch: {
                    side: lines(engine, "--memory-child", engine, side, str(batch))[0]
                    for side in ("ours", "theirs")
                }
                for batch in BATCHES
            }
        write_json(arguments.out, report)  # now: a later engine may be stopped
    show(report, console)
    console.print(f"wrote {arguments.out}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    elif sys.argv[1:2] == ["--memory-child"]:
        memory_child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
