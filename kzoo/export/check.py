"""`kzoo verify`: any artefact against the model it is said to come from."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from kzoo.export.formats import FORMATS
from kzoo.export.runners import open_artefact
from kzoo.export.shapes import fits
from kzoo.files import write_json


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        shapes: the shape of each input.
        differences: max|artefact - model| / max|model| by output; NaN where the artefact's is not finite.
        passed: whether all are within the tolerance.
    """

    shapes: dict
    differences: dict
    passed: bool


@dataclass(frozen=True)
class Check:
    """An artefact beside its model; `print` or rich's console shows it as a table."""

    artefact: str
    format: str
    model: str
    engine: str
    tolerance: float
    cases: list

    @property
    def passed(self):
        """Whether every case is within the tolerance."""
        return all(case.passed for case in self.cases)

    @property
    def difference(self):
        """The largest difference of all; NaN if any is."""
        every = [value for case in self.cases for value in case.differences.values()]
        return math.nan if any(map(math.isnan, every)) else max(every)

    def save(self, path):
        """Writes it as JSON, with `null` for what is not finite."""
        content = asdict(self)
        for case in content["cases"]:
            found = case["differences"]
            case["differences"] = {
                name: value if math.isfinite(value) else None for name, value in found.items()
            }
        write_json(path, {**content, "passed": self.passed})

    def __rich__(self):
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        title = Text(f"{self.artefact} ({self.format}) beside {self.model} on {self.engine}", "italic")
        table = Table()
        table.add_column("inputs", overflow="fold")
        for name in self.cases[0].differences:
            table.add_column(name, justify="right", overflow="fold")
        table.add_column("")
        for case in self.cases:
            shapes = ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in case.shapes.items())
            differences = [f"{value:.1e}" for value in case.differences.values()]
            verdict = Text("✓", "green") if case.passed else Text(f"over {self.tolerance:.0e}", "red")
            table.add_row(shapes, *differences, verdict)
        return Group(title, table)

    def __str__(self):
        import io

        from rich.console import Console

        page = io.StringIO()
        Console(file=page, width=110, color_system=None).print(self)
        return page.getvalue().rstrip("\n")


def verify_artefact(artefact, model, batch_sizes=(1, 2, 7), lengths=None, tolerance=None, seed=0):
    """Runs an artefact and its model on the same random inputs.

    A model with layers in half or double precision is compared as its copy in float32, which is what is exported.

    Args:
        artefact: what `kzoo.export.open_artefact` opens.
        model: a built Keras model on the engine of this process, or the path of a `.keras` file or a run folder.
        batch_sizes: batch sizes to compare at. An artefact that was made for one batch size runs at that one;
            one that was made for one example runs it once for each.
        lengths: sizes to compare at where both leave a length, height or width free; by default two that the
            model takes.
        tolerance: the largest difference allowed, as a share of the largest output; by default what the format
            promises.
        seed: of the random inputs.

    Returns:
        A `Check`.

    Raises:
        FileNotFoundError: if there is nothing at a path.
        ValueError: if either cannot be opened, or their inputs or outputs do not have the same names and shapes.
        ImportError: if a package is missing; it names the extra.
    """
    from kzoo.export.archive import in_float32
    from kzoo.export.exporter import check_model
    from kzoo.export.runners import KerasRunner

    _check_numbers("batch_sizes", batch_sizes)
    _check_numbers("lengths", lengths or (1,))
    runner, artefact = open_artefact(artefact), Path(artefact)
    model, _ = check_model(model)
    copy = in_float32(model)
    reference = KerasRunner(copy)
    _check_inputs(runner.inputs, reference.inputs)
    tolerance = _tolerance(artefact, runner) if tolerance is None else float(tolerance)
    compared = []
    for inputs, outputs in _cases(copy, reference.inputs, runner.inputs, batch_sizes, lengths, seed):
        found = _differences(outputs, runner.run(inputs))
        shapes = {name: list(array.shape) for name, array in inputs.items()}
        compared.append(Case(shapes, found, all(value <= tolerance for value in found.values())))
    return Check(str(artefact), runner.format, model.name, _engine(), tolerance, compared)


def _engine():
    import keras

    return keras.config.backend()


def _check_numbers(name, values):
    if not values or any(not isinstance(value, int) or value < 1 for value in values):
        raise ValueError(f"{name} are whole numbers of at least 1. Received: {name}={values!r}")


def _tolerance(artefact, runner):
    """What the artefact's format promises; the precisions of TFLite are told by their file's name."""
    named = [form for form in FORMATS.values() if form.file == artefact.name]
    if named:
        return named[0].tolerance
    return FORMATS[runner.format].tolerance if runner.format in FORMATS else 1e-5


def _check_inputs(given, wanted):
    names = {tensor.name: tensor for tensor in given}
    fits_all = set(names) == {tensor.name for tensor in wanted} and all(
        _compatible(names[tensor.name], tensor) for tensor in wanted
    )
    if not fits_all:
        raise ValueError(
            "the artefact does not come from this model. Received: an artefact with the inputs "
            f"{'; '.join(map(str, given))}, and a model with {'; '.join(map(str, wanted))}"
        )


def _compatible(given, wanted):
    """Whether the artefact's input takes some of what the model's does: it may fix what the model leaves free."""
    pairs = list(zip(given.shape, wanted.shape))
    return len(given.shape) == len(wanted.shape) and all(None in pair or pair[0] == pair[1] for pair in pairs)


def _cases(model, wanted, given, batch_sizes, lengths, seed):
    """Pairs of inputs and the model's outputs, of shapes that the artefact takes, each shape once."""
    from kzoo.export.reference import reference_cases

    shapes = {tensor.name: tensor.shape for tensor in given}
    narrowed = any(
        size is not None and free is None
        for tensor in wanted
        for size, free in zip(shapes[tensor.name][1:], tensor.shape[1:])
    )
    fixed = {shape[0] for shape in shapes.values() if shape} - {None, 1}
    free = any(None in shape[1:] for shape in shapes.values())
    cases = {}
    for batch in fixed or batch_sizes:
        chosen = {name: (batch, *shape[1:]) for name, shape in shapes.items()} if narrowed else None
        for length in lengths if lengths and free else [None]:
            sizes = None if length is None else (length,)
            for inputs, outputs in reference_cases(model, (batch,), seed, sizes, chosen):
                if fits(given, inputs):
                    key = tuple(array.shape for array in inputs.values())
                    cases.setdefault(key, (inputs, outputs))
    if not cases:
        raise ValueError(
            f"no shape was found that both take. Received: an artefact with {'; '.join(map(str, given))}, and a "
            f"model with {'; '.join(map(str, wanted))}"
        )
    return list(cases.values())


def _differences(expected, found):
    from kzoo.export.verify import difference

    if set(expected) != set(found):
        raise ValueError(
            "the artefact does not come from this model. Received: an artefact with the outputs "
            f"{', '.join(sorted(found))}, and a model with {', '.join(sorted(expected))}"
        )
    return {name: difference({name: array}, {name: found[name]}) for name, array in expected.items()}
