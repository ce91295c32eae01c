"""Training steps of kzoo on three engines beside hand-written PyTorch and JAX, measured in turn in one run.

```
python benchmarks/run.py [--quick] [--workloads lstm,gru,bilstm,gpt,resnet18] [--engines torch,jax] [--out FILE]
```

Every contender lives in a process of its own and computes only when asked. A round asks each of them once, so
the contenders of a round meet the same machine, and ratios are taken round by round: the table gives their
median and quartiles. Keras models run through `fit`. The table is printed and written as JSON and, beside it,
Markdown.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measured import machine, ratio
from rich.console import Console
from rich.table import Table
from workloads import WORKLOADS

HERE = Path(__file__).parent
CONTENDERS = {  # name: engine, kind (see contender.py)
    "kzoo-tensorflow": ("tensorflow", "plain"),
    "kzoo-tensorflow, accelerated": ("tensorflow", "accelerated"),
    "kzoo-torch": ("torch", "plain"),
    "kzoo-torch, accelerated": ("torch", "accelerated"),
    "kzoo-jax": ("jax", "plain"),
    "kzoo-jax, accelerated": ("jax", "accelerated"),
    "native PyTorch": ("torch", "native"),
    "raw JAX": ("jax", "native"),
}


class Contender:
    """A process that runs training steps when asked."""

    def __init__(self, workload, engine, kind):
        command = [sys.executable, str(HERE / "contender.py"), workload, engine, kind]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def step(self, steps):
        """Milliseconds per step over so many steps."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a contender failed:\n{self.process.stderr.read()[-2000:]}")
        answer = json.loads(line)
        self.note = answer["note"]
        return answer["ms"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(name, engines, quick, console):
    """All rounds of one workload: contender to milliseconds per step, one figure per round."""
    workload = WORKLOADS[name]
    steps, rounds = (max(1, workload.STEPS // 4), 3) if quick else (workload.STEPS, workload.ROUNDS)
    chosen = {label: place for label, place in CONTENDERS.items() if place[0] in engines}
    contenders = {label: Contender(name, *place) for label, place in chosen.items()}
    try:
        for contender in contenders.values():
            contender.step(steps)  # compiles and warms up; not counted
        times = {label: [] for label in contenders}
        for index in range(rounds):
            for label, contender in contenders.items():
                times[label].append(contender.step(steps))
            console.print(f"{workload.NAME}: round {index + 1} of {rounds}", end="\r", highlight=False)
        notes = {label: contender.note for label, contender in contenders.items()}
    finally:
        for contender in contenders.values():
            contender.close()
    return {"name": workload.NAME, "steps": steps, "rounds": rounds, "times": times, "notes": notes}


def rows(result):
    """Per contender: its name, median milliseconds, and its time as a multiple of three others' as text."""
    times = result["times"]
    for label, own in times.items():
        cells = [label, f"{statistics.median(own):.1f}"]
        for other in (label.removesuffix(", accelerated"), "native PyTorch", "raw JAX"):
            if other not in times or other == label:
                cells.append("")
            else:
                middle, low, high = ratio(own, times[other])
                cells.append(f"{middle:.2f} ({low:.2f}–{high:.2f})")
        yield cells


HEADER = ("contender", "ms per step", "÷ not accelerated", "÷ native PyTorch", "÷ raw JAX")


def markdown(report):
    facts = report["machine"]
    versions = ", ".join(f"{name} {facts[name]}" for name in ("keras", "tensorflow", "torch", "jax", "numpy"))
    lines = [
        "# One training step",
        "",
        f"{facts['cpu']}, {facts['cores']} cores; Python {facts['python']}, {versions}; {facts['date']}. "
        "Times are medians; ratios are medians of the ratios within a round, with quartiles. "
        "Lower is faster. Written by `python benchmarks/run.py`.",
    ]
    for result in (report["workloads"][name] for name in WORKLOADS if name in report["workloads"]):
        lines += [
            "",
            f"## {result['name']}",
            "",
            f"{result['rounds']} rounds of {result['steps']} steps.",
            "",
        ]
        lines += ["| " + " | ".join(HEADER) + " |", "| --- |" + " ---: |" * (len(HEADER) - 1)]
        lines += ["| " + " | ".join(cells) + " |" for cells in rows(result)]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds of few steps: a look only")
    parser.add_argument(
        "--workloads", default=",".join(WORKLOADS), help="comma-separated; default: %(default)s"
    )
    parser.add_argument(
        "--engines", default="tensorflow,torch,jax", help="comma-separated; default: %(default)s"
    )
    parser.add_argument(
        "--out", type=Path, default=HERE / "results.json", help="JSON; Markdown lands beside it"
    )
    arguments = parser.parse_args()
    workloads, engines = arguments.workloads.split(","), arguments.engines.split(",")
    for given, known in ((workloads, tuple(WORKLOADS)), (engines, ("tensorflow", "torch", "jax"))):
        if unknown := set(given) - set(known):
            parser.error(f"choose from {', '.join(known)}. Received: {', '.join(sorted(unknown))}")
    console, began, page = Console(), time.time(), arguments.out.with_name("RESULTS.md")
    report = {"machine": machine(), "quick": arguments.quick, "workloads": {}}
    if arguments.out.exists():  # other workloads of the same day, machine and versions stay
        before = json.loads(arguments.out.read_text())
        if all(before[key] == report[key] for key in ("machine", "quick")):
            report["workloads"] = before["workloads"]
    for name in workloads:
        result = report["workloads"][name] = measure(name, engines, arguments.quick, console)
        table = Table(
            *HEADER, title=f"{result['name']}, {result['rounds']} rounds of {result['steps']} steps"
        )
        for cells in rows(result):
            table.add_row(*cells)
        console.print(table)
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")  # now: a later workload may be stopped
        page.write_text(markdown(report))
    console.print(f"{time.time() - began:.0f} s; wrote {arguments.out} and {page}")


if __name__ == "__main__":
    main()
