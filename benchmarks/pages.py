"""Pages of figures that are too many for the README: whatever was measured beside its peers."""

import json
import statistics
from pathlib import Path

HERE = Path(__file__).parent
ENGINES = ("tensorflow", "torch", "jax")


def write():
    """Writes the pages whose figures are there."""
    _layers()
    for name, page, text in (
        ("vision", "VISION", vision),
        ("rl", "AGENTS", agents),
        ("generation", "GENERATION", generation),
        ("attention", "ATTENTION", attention),
    ):
        if (HERE / f"{name}.json").exists():
            (HERE / f"{page}.md").write_text(text(json.loads((HERE / f"{name}.json").read_text())))


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
        lines += [
            "",
            f"{_where(measured)}; {side} pixels, {rounds} rounds; `python benchmarks/vision.py --engine {engine}`.",
        ]
    if (HERE / "pipeline.json").exists():
        lines += ["", *_pipeline(json.loads((HERE / "pipeline.json").read_text()))]
    return "\n".join([*lines, ""])


def _pipeline(found):
    rates = found["images_per_second"]
    threads = list(next(iter(rates.values())))
    lines = ["## From files to batches", "", "Images a second: decoding, resizing, cropping, scaling.", ""]
    lines.append(
        "| augmentation | " + " | ".join(f"{count} thread{'s' * (count != '1')}" for count in threads) + " |"
    )
    lines.append("| --- |" + " ---: |" * len(threads))
    for name, row in rates.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[count]:.0f}" for count in threads) + " |")
    measured = found["machine"]
    what = f"JPEGs of 500 x 375 pixels, {found['kilobytes']:.0f} kB, to {found['side']} pixels"
    return [*lines, "", f"{_where(measured)}; {what}; `python benchmarks/pipeline.py`."]


def agents(found):
    """Agents beside hand-written PyTorch, as Markdown."""
    lines = ["# Agents beside hand-written PyTorch", ""]
    lines += [
        "Environment steps a second include all that an agent does; optimizer steps a second are of learning alone. "
        "Ratios are of times, ours over hand-written PyTorch's, medians of the turns with quartiles: below 1 is "
        "faster. CartPole-v1, networks of 64 (PPO) and 120 and 84 (DQN) units, where an engine's cost per call counts "
        "most.",
    ]
    for agent, times in found["agents"].items():
        native = times["native PyTorch"]
        lines += ["", f"## {agent.upper()}", ""]
        lines.append(
            "| contender | environment steps/s | optimizer steps/s | time ÷ native | learning ÷ native |"
        )
        lines.append("| --- |" + " ---: |" * 4)
        for name, own in times.items():
            whole = statistics.median(steps / (living + learning) for living, learning, steps, _ in own)
            rate = statistics.median(learned / learning for _, learning, _, learned in own)
            ratios = ["", ""]
            if own is not native:
                pairs = list(zip(own, native))
                ratios = [_spread([(a[0] + a[1]) / (b[0] + b[1]) for a, b in pairs])]
                ratios.append(_spread([a[1] / b[1] for a, b in pairs]))
            lines.append(f"| {name} | {whole:,.0f} | {rate:,.0f} | {ratios[0]} | {ratios[1]} |")
    return "\n".join([*lines, "", f"{_where(found['machine'])}; `python benchmarks/rl.py`.", ""])


def generation(found):
    """Writing on with a GPT beside Transformers and keras-hub, as Markdown."""
    lines = ["# Writing with a GPT beside Transformers and keras-hub", ""]
    lines += [
        "Tokens a second of 4 prompts of 16 symbols and 112 new ones, the likeliest each time, with a cache; 6 layers, "
        "384 wide, random weights. Ratios are ours over theirs, medians of the rounds with quartiles: above 1 is "
        "faster. The last column is what a symbol costs in each quarter of the text, written symbol by symbol: flat, "
        "since the cache has one length.",
        "",
        "| engine | kzoo | Transformers | keras-hub | ÷ Transformers | ÷ keras-hub | ms a symbol by quarter |",
        "| --- |" + " ---: |" * 6,
    ]
    for engine, report in found.items():
        rates = [report["tokens_per_second"].get(name) for name in ("kzoo", "Transformers", "keras-hub")]
        ratios = [report["ours_over"].get(name) for name in ("Transformers", "keras-hub")]
        cells = ["" if rate is None else f"{rate:,.0f}" for rate in rates]
        cells += ["{:.2f} ({:.2f}–{:.2f})".format(*ratio) if ratio else "" for ratio in ratios]
        cells.append(", ".join(f"{value:.2f}" for value in report["step_ms_by_quarter"]))
        lines.append("| " + " | ".join([engine, *cells]) + " |")
    report = next(iter(found.values()))
    where = f"{_where(report['machine'])}; {report['rounds']} rounds"
    return "\n".join([*lines, "", f"{where}; `python benchmarks/generation.py --engine ENGINE`.", ""])


def attention(found):
    """Sparse attention beside dense by length, as Markdown."""
    lines = ["# Sparse attention beside dense", ""]
    lines += [
        "A step of values and gradients, causal, two heads of 32; window 128, stride 64, blocks of 64. Dense is the "
        "engine's best way (on PyTorch a fused kernel); written out is the same with the matrix of weights. Ratios "
        "are to dense.",
    ]
    for engine, lengths in found["engines"].items():
        kinds = list(next(iter(lengths.values()))["times_ms"])
        lines += ["", f"## {engine}", ""]
        lines.append("| length | " + " | ".join(f"{kind}, ms / MiB" for kind in kinds) + " |")
        lines.append("| ---: |" + " ---: |" * len(kinds))
        for length, report in lengths.items():
            cells = []
            for kind in kinds:
                time, memory = statistics.median(report["times_ms"][kind]), report["memory_mib"][kind]
                ratio = "" if kind == "dense" else f" ({report['ratios'][kind][0]:.2f})"
                cells.append(f"{time:.1f}{ratio} / {memory:.0f}")
            lines.append(f"| {length} | " + " | ".join(cells) + " |")
    where = f"{_where(found['machine'])}; {found['rounds']} rounds"
    return "\n".join([*lines, "", f"{where}; `python benchmarks/attention.py`.", ""])


def _where(measured):
    return f"{measured['cpu']}, {measured['cores']} cores, {measured['date']}"


def _spread(ratios):
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


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
    return [*lines, "", f"{_where(measured)}; {rounds} rounds; `python benchmarks/{kind}.py`."]


def _ratios(report, kind):
    if kind == "layers":
        ratios = {name: row["ratios"]["written out"] for name, row in report["layers"].items()}
    else:
        ratios = {name: (row["ratio"], *row["quartiles"]) for name, row in report["steps"].items()}
    return {name: "{:.2f} ({:.2f}–{:.2f})".format(*values) for name, values in ratios.items()}
