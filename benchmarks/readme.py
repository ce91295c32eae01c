"""The README's tables: a few figures to look at, and everything else folded away."""

import json
import re
from pathlib import Path

from entries import HIGHLIGHTS
from measured import ratio

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
PAGES = {"speed": "RESULTS.md", "matrix": "MATRIX.md", "serving": "SERVING.md"}
MEASURED = {"steps": "results", "exports": "matrix", "soak": "soak", "formats": "formats"}


def write(figures):
    """Puts what was measured between the README's marks."""
    README.write_text(filled(README.read_text(), figures))


def filled(text, figures):
    """The README's text with what was measured between its marks."""
    text = _between(text, "highlights", highlights(figures))
    text = _between(text, "results", table(figures))
    for section, page in PAGES.items():
        if (path := HERE / page).exists():
            whole = re.sub(r"^# .*\n+", "", path.read_text()).strip().replace("## ", "### ")
            text = _between(text, section, whole)
    makers = {"steps": steps, "exports": exports, "soak": soak, "formats": formats}
    for section, name in MEASURED.items():
        if (path := HERE / f"{name}.json").exists():
            text = _between(text, section, makers[section](json.loads(path.read_text())))
    return text


def table(figures):
    """The figures as a Markdown table."""
    rows = [
        "| row | task | model (parameters) | engine | figure | reference | wall time* | machine, date |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for f in figures.values():
        rows.append(
            f"| {f['row']} | {f['task']} | {f['model']}{_size(f)} | {f['engine']} | "
            f"{shown(f)} | {f['reference']} | {f['seconds'] / 60:.1f} min | "
            f"{f['machine']}, {f['date']} |"
        )
    return "\n".join([*rows, "", "\\* from start to finish, with whatever else the machine was doing."])


def _size(f):
    """How many parameters, where one network is meant."""
    return f" ({f['parameters']:,})" if "parameters" in f else ""


def highlights(figures):
    """One line for each of some tasks, as a Markdown table."""
    rows = ["| task | model | engine | figure | beside it |", "| --- | --- | --- | --- | --- |"]
    for key, most in HIGHLIGHTS.items():
        if f := figures.get(key):
            rows.append(
                f"| {f['task']} | {f['model']} | {f['engine']} | {shown(f, most=most)} | {f['reference']} |"
            )
    return "\n".join(rows)


def shown(f, mark="**", most=None):
    """An entry's figures with their names, as text."""
    parts = []
    for name in f["figure"].split(",")[:most]:
        value = f["figures"][name]
        share = name.endswith("accuracy") or name.partition("_")[0] in ("vanished", "exploded")
        text = f"{value:.2%}" if share else _number(value)
        parts.append(f"{name.replace('_', ' ')} {mark}{text}{mark}")
    return ", ".join(parts)


def _number(value):
    """A whole number as such, others with about four digits."""
    decimals = 0 if value == round(value) else 4 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    return f"{value:,.{decimals}f}"


def steps(report):
    """A training step of each workload on three engines over hand-written PyTorch's, as a Markdown table."""
    engines = ("tensorflow", "torch", "jax")
    rows = [f"| a training step | {' | '.join(engines)} |", "| --- |" + " ---: |" * len(engines)]
    for workload in report["workloads"].values():
        times = workload["times"]
        cells = (
            f"{ratio(times[f'kzoo-{name}, accelerated'], times['native PyTorch'])[0]:.2f}" for name in engines
        )
        rows.append(f"| {workload['name']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def exports(report):
    """How many models of each engine pass in each format, with the largest difference, as a Markdown table."""
    cells = report["cells"]
    formats = list(
        dict.fromkeys(form for models in cells.values() for row in models.values() for form in row)
    )
    rows = [f"| format | {' | '.join(f'from {engine}' for engine in cells)} |"]
    rows.append("| --- |" + " --- |" * len(cells))
    for form in formats:
        found = ([row[form] for row in models.values() if form in row] for models in cells.values())
        rows.append(f"| {form} | {' | '.join(_passed(several) for several in found)} |")
    return "\n".join(rows)


def _passed(cells):
    """How many of some cells passed, and how far the farthest of these is from its model."""
    kinds = [cell["status"] for cell in cells]
    if "unproven" in kinds:
        return f"{kinds.count('unproven')} written, unproven"
    largest = max(cell["difference"] for cell in cells if cell["status"] == "passed")
    return f"{kinds.count('passed')} of {len(cells)}, {largest:.0e}"


def soak(f):
    """What became of the requests while versions were swapped, as a sentence."""
    versions = ", ".join(f"{count:,} by version {number}" for number, count in f["by_version"].items())
    return (
        f"{f['requests']:,} requests by {f['clients']} retrying clients (REST and gRPC) during three version "
        f"swaps and one SIGTERM and restart: {f['lost']} lost, {f['wrong']} wrong or by a half-loaded "
        f"version; {versions}. "
        f"{f['seconds']:.0f} s in all, {f['restart_seconds']:.1f} s of them the restart; median {f['p50_ms']:.0f} ms, "
        f"p99 {f['p99_ms']:.0f} ms ({f['machine']}, {f['date']}; `python benchmarks/soak.py`)."
    )


def formats(f):
    """One model in all formats, as a Markdown table; beside it the times of the model with its norms folded."""
    path = HERE / "formats_folded.json"
    folded = json.loads(path.read_text()) if path.exists() else None
    floats = {row["format"]: row["bytes"] for row in f["rows"]}
    after = {row["format"]: row["p50_ms"] for row in (folded or {"rows": []})["rows"]}
    head = ["format", "size", "÷ float TFLite", "p50 ms", "p95 ms", f"examples/s at {f['batch']}"]
    head += ["peak MB", "difference", "accuracy", "verdict"] + (["p50 ms, folded"] if folded else [])
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for row in f["rows"]:
        size = row["bytes"]
        cells = [
            row["format"],
            "" if size is None else f"{size / 1e3:,.0f} kB",
            f"{size / floats['tflite']:.2f}" if size and row["format"].startswith("tflite") else "",
            *(
                "" if row[key] is None else format(row[key], form)
                for key, form in (
                    ("p50_ms", ".2f"),
                    ("p95_ms", ".2f"),
                    ("throughput", ",.0f"),
                    ("memory_mb", ",.0f"),
                    ("difference", ".1e"),
                    ("accuracy", ".2%"),
                )
            ),
            row["status"],
        ]
        if folded:
            time = after.get(row["format"])
            cells.append(f"{time:.2f}" if time and row["format"] != "keras" else "")
        lines.append("| " + " | ".join(cells) + " |")
    threads = f"{f['threads']} thread{'s' * (f['threads'] > 1)}"
    caption = [
        f"{f['model']} from {f['engine']}; {f['examples']:,} test images of {f['data']}; {f['machine']}, {threads}. "
        "Differences are over the largest output, on random inputs: those lie outside the range that full int8 was "
        "calibrated for, so that its accuracy says more.",
    ]
    if folded:
        caption.append(
            "The folded model was measured in a run of its own, minutes later: a quarter either way is noise."
        )
    return "\n".join([*lines, "", *caption])


def _between(text, name, new):
    marks = f"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    text, count = re.subn(marks, lambda m: f"{m[1]}\n{new}\n\n{m[2]}", text, flags=re.S)
    if count != 1:
        raise ValueError(f"the README must have the marks of {name!r} once. Received: {count} times")
    return text
