"""Every format of every model from every engine: the README's table of exports.

```
python benchmarks/matrix.py [--engines torch,jax] [--formats onnx,pt2] [--models CNN,LSTM] [--again]
```

The models are those of `tests/exported_models.py`, at the widths given there, and the smallest size of each vision
family at its published image size, these in the three main formats (`--models families`). Each cell is the largest
difference between the artefact and the model on its own engine, as a share of the largest output, over two batch
sizes (and two lengths where the model leaves it free), or why there is none. What has been measured stays in
`matrix.json`, so that a run that was stopped goes on; `--again` measures anew. `MATRIX.md` is written after each model.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
TABLE, PAGE = HERE / "matrix.json", HERE / "MATRIX.md"
ENGINES = ("tensorflow", "torch", "jax")
EXAMPLES = 64  # random ones, for the ranges of full int8
PACKAGES = (
    "keras",
    "tensorflow",
    "torch",
    "jax",
    "tf2onnx",
    "onnxruntime",
    "ai-edge-litert",
    "coremltools",
    "openvino",
)
MARKS = {"batch 1": "¹", "one length": "²"}


def main():
    from kzoo.export.formats import FORMATS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--models", default="", help="default: the eight, then the families")
    parser.add_argument("--again", action="store_true", help="also what has been measured")
    parser.add_argument(
        "--here", action="store_true", help=argparse.SUPPRESS
    )  # on the engine of this process
    options = parser.parse_args()
    engines, formats = options.engines.split(","), options.formats.split(",")
    if options.here:
        fill(engines[0], options.models.split(","), formats, options.again)
        return
    for engine in engines:
        environment = {**os.environ, "KERAS_BACKEND": engine, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, __file__, "--here", "--engines", engine, "--formats", options.formats]
        command += ["--models", options.models, *["--again"] * options.again]
        subprocess.run(command, check=True, env=environment)
    show(json.loads(TABLE.read_text()))


def fill(engine, models, formats, again):
    """Measures the cells of one engine that are missing, all formats of a model together."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from exported_models import EIGHT, WIDTHS, smallest_of_each_family

    from kzoo.export import keep_workers
    from kzoo.export.exporter import DEFAULT

    families = smallest_of_each_family()
    chosen = {"": [*EIGHT, *families], "families": families}.get(models[0], models)
    with keep_workers():
        for name in chosen:
            table = json.loads(TABLE.read_text()) if TABLE.exists() else {"cells": {}}
            kind = "families" if name in families else "cells"
            cells = table.setdefault(kind, {}).setdefault(engine, {}).setdefault(name, {})
            offered = [form for form in formats if form in DEFAULT] if name in families else formats
            wanted = [form for form in offered if again or form not in cells]
            if not wanted:
                continue
            start = time.perf_counter()
            model = families[name]() if name in families else EIGHT[name](WIDTHS[name])
            cells.update(measure(model, wanted))
            table["weights"] = {**table.get("weights", {}), name: model.count_params()}
            table["versions"] = {package: metadata.version(package) for package in PACKAGES}
            table["date"] = datetime.date.today().isoformat()
            write(table)
            failed = sum(cells[form]["status"] == "failed" for form in wanted)
            line = f"{engine}, {name}: {len(wanted)} formats, {failed} failed, {time.perf_counter() - start:.0f} s"
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def measure(model, formats):
    """One cell per format."""
    from kzoo.export import ExportError, export
    from kzoo.export.exporter import DEFAULT

    with tempfile.TemporaryDirectory() as folder:
        try:
            # Only quantised formats want examples, and 64 at once of a large image fill the memory.
            wanted = examples(model) if set(formats) - set(DEFAULT) else None
            report = export(model, folder, formats=formats, representative=wanted)
        except ExportError as error:
            if error.report is None:
                raise
            report = error.report
    return {
        artefact.format: {
            "status": artefact.status,
            "difference": artefact.difference,
            "tolerance": artefact.tolerance,
            "bytes": artefact.bytes,
            "seconds": round(artefact.seconds, 2),
            # Where a library lies on this machine is nobody else's affair.
            "message": re.sub(r"/\S*?/site-packages/", "site-packages/", artefact.message),
        }
        for artefact in report.artefacts
    }


def examples(model):
    """Random inputs for the calibration of full int8, of the kind that exports are compared on."""
    import numpy as np

    from kzoo.export.reference import reference_cases

    ((inputs, _), *_) = reference_cases(model, (EXAMPLES, EXAMPLES + 1), seed=1)
    return {name: np.asarray(array) for name, array in inputs.items()}


def write(table):
    """Writes the table and its page, each whole or not at all."""
    from kzoo.files import replacing, write_json

    write_json(TABLE, table)
    with replacing(PAGE) as aside:
        aside.write_text(page(table), encoding="utf-8")


def page(table):
    """The table as Markdown: one part per engine, a row per model, a column per format."""
    from kzoo.export.formats import FORMATS

    reasons, lines = [], ["# Exports", ""]
    lines += [
        "Largest difference between the exported model and the model on its own engine, as a share of the largest "
        "output, at batch 1 and 3 (and two lengths where the model leaves it free); written by "
        "`python benchmarks/matrix.py`.",
        "",
        f"{MARKS['batch 1']} one example at a time; {MARKS['one length']} for one length, and another is refused.",
    ]
    for engine, models in table["cells"].items():
        names = [name for name in FORMATS if any(name in cells for cells in models.values())]
        lines += ["", f"## From {engine}", "", f"| model | weights | {' | '.join(names)} |"]
        lines.append("| --- | --: |" + " --: |" * len(names))
        for model, cells in models.items():
            row = " | ".join(text(cells.get(name), reasons) for name in names)
            lines.append(f"| {model} | {table['weights'][model]:,} | {row} |")
    lines += by_family(table, reasons)
    if reasons:
        lines += ["", "## Why not", "", *(f"{index}. {reason}" for index, reason in enumerate(reasons, 1))]
    versions = ", ".join(f"{name} {version}" for name, version in table["versions"].items())
    return "\n".join([*lines, "", f"Measured on {table['date']} with {versions}.", ""])


def by_family(table, reasons):
    """A row per vision family, a column per engine and format."""
    engines = table.get("families", {})
    columns = [
        (engine, form) for engine, models in engines.items() for form in next(iter(models.values()), {})
    ]
    lines = ["", "## Vision families", "", "The smallest size of each, at its published image size.", ""]
    lines.append(f"| model | weights | {' | '.join(f'{engine}: {form}' for engine, form in columns)} |")
    lines.append("| --- | --: |" + " --: |" * len(columns))
    for model in dict.fromkeys(name for models in engines.values() for name in models):
        cells = (engines[engine].get(model, {}).get(form) for engine, form in columns)
        row = " | ".join(text(cell, reasons) for cell in cells)
        lines.append(f"| {model} | {table['weights'][model]:,} | {row} |")
    return lines if columns else []


def text(cell, reasons):
    """One cell: a figure with its marks, or a pointer to the reason why there is none."""
    if cell is None:
        return ""
    if cell["status"] == "passed":
        length = MARKS["one length"] if "takes " in cell["message"] else ""
        return f"{cell['difference']:.1e}{MARKS['batch 1'] if 'batch 1' in cell['message'] else ''}{length}"
    # Quantised ones say how far they came, which differs from cell to cell; and logs are no reasons.
    reason = cell["message"].split(", takes ")[0].split(", batch ")[0].split(" (the worker")[0]
    if cell["status"] == "unproven":
        reason = reason.split(", any ")[0]
    if reason not in reasons:
        reasons.append(reason)
    return f"{cell['status']} ({reasons.index(reason) + 1})"


def show(table):
    """Prints what matters: how many cells there are, and the worst float one."""
    from kzoo.export.formats import FORMATS, TOLERANCE

    cells = [
        (engine, model, name, cell)
        for kind in ("cells", "families")
        for engine, models in table.get(kind, {}).items()
        for model, formats in models.items()
        for name, cell in formats.items()
    ]
    for status in ("passed", "unproven", "failed"):
        sys.stdout.write(f"{sum(cell['status'] == status for *_, cell in cells)} {status}\n")
    exact = [
        entry for entry in cells if entry[3]["status"] == "passed" and FORMATS[entry[2]].proof == TOLERANCE
    ]
    if exact:
        engine, model, name, cell = max(exact, key=lambda entry: entry[3]["difference"])
        sys.stdout.write(f"worst in float32: {cell['difference']:.1e}, {model} from {engine} as {name}\n")


if __name__ == "__main__":
    main()
