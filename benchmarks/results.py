"""Runs the recipes in full and writes the table of figures: `make results`.

One entry after another; an entry whose run of the same configuration lies in `runs/` is not run again, so that the
command goes on where it was stopped. The figures of every entry are kept in `figures.json`, from which `RESULTS.md`
and the tables of the README are written. Nobody types a figure.
"""

import argparse
import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pages
from entries import ENTRIES

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "figures.json"
PAGES = {"speed": "RESULTS.md", "matrix": "MATRIX.md", "serving": "SERVING.md"}


def card_of(entry):
    """The card of the entry's run, if one of the same engine and configuration is there."""
    wanted = _configuration(entry)
    for path in sorted((ROOT / "runs" / entry.recipe).glob("*/card.json")):
        card = json.loads(path.read_text())
        if card["configuration"] == wanted and card["engine"] == entry.engine:
            return card
    return None


def _configuration(entry):
    """The recipe's arguments, defaults included."""
    sys.path.insert(0, str(ROOT))
    from kzoo import recipes

    return vars(recipes.parser_of(recipes.load(entry.recipe)).parse_args(shlex.split(entry.arguments)))


def run(entries):
    """Runs what has not been run, and writes the tables after each entry."""
    for entry in entries:
        card = card_of(entry)
        if card is None:
            sys.stdout.write(f"== {entry.command}\n")
            sys.stdout.flush()
            command = [sys.executable, "-m", *shlex.split(entry.command)]
            subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"KZOO_RUNS": str(ROOT / "runs")})
            card = card_of(entry)
        figures = _read()
        kept = {
            name: card[name]
            for name in ("figures", "seconds", "parameters", "engine", "machine", "versions", "date", "costs")
            if name in card
        }
        figures[entry.key] = {
            **dataclasses.asdict(entry),
            "command": entry.command,
            "model": card["model"],
            **kept,
        }
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
        write_tables()


def table():
    """The figures as a Markdown table."""
    rows = [
        "| row | task | model (parameters) | engine | figure | reference | wall time* | machine, date |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for f in _read().values():
        rows.append(
            f"| {f['row']} | {f['task']} | {f['model']}{_size(f)} | {f['engine']} | "
            f"{_figure(f)} | {f['reference']} | {f['seconds'] / 60:.1f} min | "
            f"{f['machine']}, {f['date']} |"
        )
    return "\n".join([*rows, "", "\\* from start to finish, with whatever else the machine was doing."])


def _size(f):
    """How many parameters, where one network is meant."""
    return f" ({f['parameters']:,})" if "parameters" in f else ""


def _figure(f, mark="**"):
    """An entry's figures with their names, as text."""
    shown = []
    for name in f["figure"].split(","):
        value = f["figures"][name]
        share = name.endswith("accuracy") or name.partition("_")[0] in ("vanished", "exploded")
        text = f"{value:.2%}" if share else _number(value)
        shown.append(f"{name.replace('_', ' ')} {mark}{text}{mark}")
    return ", ".join(shown)


def _number(value):
    """A whole number as such, others with about four digits."""
    decimals = 0 if value == round(value) else 4 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    return f"{value:,.{decimals}f}"


def costs():
    """What the compared architectures cost, as Markdown."""
    lines = []
    for f in _read().values():
        if "costs" not in f:
            continue
        lines += [f"## {f['task']}: {f['engine']}, {f['machine']}, {f['date']}", ""]
        lines += ["Step times were taken in turn in one run.", ""]
        lines += ["| model | test accuracy | parameters | multiply-adds | ms a step |"]
        lines += ["| --- | ---: | ---: | ---: | ---: |"]
        for row in sorted(f["costs"], key=lambda row: -row["test_accuracy"]):
            lines.append(
                f"| {row['model']} | {row['test_accuracy']:.2%} | {row['parameters']:,} | "
                f"{row['multiply_adds']:,} | {row['step_ms']:.1f} |"
            )
        lines.append("")
    return "\n".join(lines)


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


def formats(f, folded=None):
    """One model in all formats, as a Markdown table; beside it the times of the model with its norms folded."""
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


def commands():
    """The commands behind the figures."""
    return "\n".join(f["command"] for f in _read().values())


def write_tables():
    """Writes `RESULTS.md` and the tables of the README from the measured files."""
    text = f"# Results\n\nWritten by `make results`.\n\n{table()}\n\nCommands:\n\n```\n{commands()}\n```\n\n{costs()}"
    (ROOT / "RESULTS.md").write_text(text)
    readme = ROOT / "README.md"
    content = _between(readme.read_text(), "results", table())
    for section, page in PAGES.items():
        path = ROOT / "benchmarks" / page
        if path.exists():
            shown = re.sub(r"^# .*\n+", "", path.read_text()).strip().replace("## ", "### ")
            content = _between(content, section, shown)
    if (path := ROOT / "benchmarks" / "soak.json").exists():
        content = _between(content, "soak", soak(json.loads(path.read_text())))
    if (path := ROOT / "benchmarks" / "formats.json").exists():
        folded = path.with_name("formats_folded.json")
        folded = json.loads(folded.read_text()) if folded.exists() else None
        content = _between(content, "formats", formats(json.loads(path.read_text()), folded))
    readme.write_text(content)
    pages.write()
    for name in {f["recipe"] for f in _read().values()}:
        _write_score(name)


def _write_score(recipe):
    """Puts the figures into the `Score` lines that end the recipe's docstring."""
    (path,) = ROOT.glob(f"recipes/*/{recipe}.py")
    figures = [f for f in _read().values() if f["recipe"] == recipe]
    lines = [
        f"{f['task']}, {f['engine']}: {_figure(f, mark='')} in {f['seconds'] / 60:.1f} min*" for f in figures
    ]
    machines = "; ".join(dict.fromkeys(f["machine"] for f in figures))
    lines.append(f"* {machines}; from start to finish, with whatever else was running")
    lines = [part for line in lines for part in textwrap.wrap(line, 105)]
    score = "Score      " + ("\n" + " " * 11).join(lines)
    text = re.sub(r'^Score .*?(?=\n""")', lambda _: score, path.read_text(), count=1, flags=re.S | re.M)
    path.write_text(text)


def _between(text, name, new):
    return re.sub(
        f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m: f"{m[1]}\n{new}\n\n{m[2]}", text, flags=re.S
    )


def _read():
    """Key to entry, by row: foundations, training, vision, sequences, generative models, agents."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    keys = [entry.key for entry in ENTRIES]

    def place(key):
        letter, number = re.match(r"(\D)(\d+)", figures[key]["row"]).groups()  # of "T1, T2" the first
        return "FTVSGR".index(letter), int(number), keys.index(key) if key in keys else len(keys)

    return {key: figures[key] for key in sorted(figures, key=place)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--table", action="store_true", help="only rewrite the tables")
    parser.add_argument(
        "--only", default="", help="entries in whose recipe, engine and arguments a word begins so"
    )
    options = parser.parse_args()
    write_tables() if options.table else run(
        [entry for entry in ENTRIES if f" {options.only}" in f" {entry.key}"]
    )
