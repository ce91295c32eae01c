"""Pages of figures that are too many for the README: layers and losses beside their peers."""

import json
from pathlib import Path

HERE = Path(__file__).parent
ENGINES = ("tensorflow", "torch", "jax")


def write():
    """Writes `LAYERS.md` from `layers.json` and `losses.json`, if they are there."""
    parts = ["# Layers, losses and metrics beside their peers", ""]
    parts += [
        "Time of forward and backward over the peer's, the median of the rounds' ratios with their quartiles; the "
        "peer is the same written out in plain Keras, or Keras's own. Both were measured in turn in one process.",
        "",
    ]
    for name, title in (("layers", "Layers"), ("losses", "Losses and metrics")):
        path = HERE / f"{name}.json"
        if path.exists():
            parts += [f"## {title}", "", *_table(json.loads(path.read_text()), name), ""]
    (HERE / "LAYERS.md").write_text("\n".join(parts))


def _table(found, kind):
    """Rows of one kind of thing, a column per engine."""
    reports = found["engines"] if kind == "losses" else found
    by_engine = {engine: _ratios(reports[engine], kind) for engine in ENGINES if engine in reports}
    lines = ["| | " + " | ".join(by_engine) + " |", "| --- |" + " ---: |" * len(by_engine)]
    for name in dict.fromkeys(name for ratios in by_engine.values() for name in ratios):
        lines.append(
            f"| {name} | " + " | ".join(ratios.get(name, "") for ratios in by_engine.values()) + " |"
        )
    measured = found["machine"] if kind == "losses" else next(iter(reports.values()))["machine"]
    rounds = found["rounds"] if kind == "losses" else next(iter(reports.values()))["rounds"]
    where = f"{measured['cpu']}, {measured['cores']} cores, {measured['date']}"
    return [*lines, "", f"{where}; {rounds} rounds; `python benchmarks/{kind}.py`."]


def _ratios(report, kind):
    if kind == "layers":
        ratios = {name: row["ratios"]["written out"] for name, row in report["layers"].items()}
    else:
        ratios = {name: (row["ratio"], *row["quartiles"]) for name, row in report["steps"].items()}
    return {name: "{:.2f} ({:.2f}–{:.2f})".format(*values) for name, values in ratios.items()}
