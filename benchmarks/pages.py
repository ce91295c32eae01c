"""Pages of figures that are too many for the README: layers, losses and networks beside their peers."""

import json
from pathlib import Path

HERE = Path(__file__).parent
ENGINES = ("tensorflow", "torch", "jax")


def write():
    """Writes the pages whose figures are there."""
    _layers()
    if (HERE / "vision.json").exists():
        (HERE / "VISION.md").write_text(vision(json.loads((HERE / "vision.json").read_text())))


def vision(found):
    """Networks beside the same ones elsewhere, and the input pipeline, as Markdown."""
    lines = ["# Networks beside the same ones elsewhere", ""]
    lines += [
        "Our time over the peer's on the same engine, the median of the rounds' ratios with their quartiles: below 1 "
        "is faster. Both have the same number of parameters and were measured in turn in one process; ours is "
        "accelerated.",
    ]
    for engine, report in found.items():
        measured = report["machine"]
        side, rounds = report["side"], report["rounds"]
        lines += [
            "",
            f"## {engine}",
            "",
            "| network, peer | train, 32 | predict, 32 | predict, 1 | ms, ours / theirs |",
        ]
        lines.append("| --- |" + " ---: |" * 4)
        for name, rows in report["networks"].items():
            kinds = ("train 32", "predict 32", "predict 1")
            ratios = " | ".join("{:.2f} ({:.2f}–{:.2f})".format(*rows[kind]["ratio"]) for kind in kinds)
            times = ", ".join(
                f"{rows[kind]['ours_ms']:.0f} / {rows[kind]['theirs_ms']:.0f}" for kind in kinds
            )
            lines.append(f"| {name} | {ratios} | {times} |")
        where = f"{measured['cpu']}, {measured['cores']} cores, {measured['date']}"
        lines += [
            "",
            f"{where}; {side} pixels, {rounds} rounds; `python benchmarks/vision.py --engine {engine}`.",
        ]
    if (HERE / "pipeline.json").exists():
        lines += ["", *_pipeline(json.loads((HERE / "pipeline.json").read_text()))]
    return "\n".join([*lines, ""])


def _pipeline(found):
    rates = found["images_per_second"]
    threads = list(next(iter(rates.values())))
    lines = ["## From files to batches", "", "Images a second: decoding, resizing, cropping, scaling.", ""]
    lines.append("| augmentation | " + " | ".join(f"{count} threads" for count in threads) + " |")
    lines.append("| --- |" + " ---: |" * len(threads))
    for name, row in rates.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[count]:.0f}" for count in threads) + " |")
    measured = found["machine"]
    where = f"{measured['cpu']}, {measured['cores']} cores, {measured['date']}"
    what = f"JPEGs of 500 x 375 pixels, {found['kilobytes']:.0f} kB, to {found['side']} pixels"
    return [*lines, "", f"{where}; {what}; `python benchmarks/pipeline.py`."]


def _layers():
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
