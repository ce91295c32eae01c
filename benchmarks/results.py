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
import readme
from entries import ENTRIES

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "figures.json"


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
        figures = read()
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


def costs():
    """What the compared architectures cost, as Markdown."""
    lines = []
    for f in read().values():
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


def commands():
    """The commands behind the figures."""
    return "\n".join(f["command"] for f in read().values())


def write_tables():
    """Writes `RESULTS.md`, the README's tables, the pages and the recipes' scores from the measured files."""
    figures = read()
    parts = ["# Results", "Written by `make results`.", readme.table(figures), "Commands:"]
    (ROOT / "RESULTS.md").write_text("\n\n".join([*parts, f"```\n{commands()}\n```", costs()]))
    readme.write(figures)
    pages.write()
    for name in {f["recipe"] for f in figures.values()}:
        _write_score(name)


def _write_score(recipe):
    """Puts the figures into the `Score` lines that end the recipe's docstring."""
    (path,) = ROOT.glob(f"recipes/*/{recipe}.py")
    figures = [f for f in read().values() if f["recipe"] == recipe]
    lines = [
        f"{f['task']}, {f['engine']}: {readme.shown(f, mark='')} in {f['seconds'] / 60:.1f} min*"
        for f in figures
    ]
    machines = "; ".join(dict.fromkeys(f["machine"] for f in figures))
    lines.append(f"* {machines}; from start to finish, with whatever else was running")
    lines = [part for line in lines for part in textwrap.wrap(line, 105)]
    score = "Score      " + ("\n" + " " * 11).join(lines)
    text = re.sub(r'^Score .*?(?=\n""")', lambda _: score, path.read_text(), count=1, flags=re.S | re.M)
    path.write_text(text)


def read():
    """Key to entry, by row: foundations, training, vision, sequences, generative models, agents."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    keys = [entry.key for entry in ENTRIES]
    for entry in ENTRIES:  # what is said of a figure may have changed since
        if entry.key in figures:
            figures[entry.key] |= dataclasses.asdict(entry)

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
