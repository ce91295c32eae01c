"""Finding and running recipes: files whose `main(...)` signature is their configuration."""

import argparse
import ast
import importlib.util
import inspect
import os
import sys
from pathlib import Path

from kzoo.engine import choose, unknown


def folder():
    """Where the recipes are: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).parent
    for place in (package / "_recipes", package.parent / "recipes"):
        if place.is_dir():
            return place
    raise OSError(f"the recipes are missing from this installation. Received: {package}")


def find():
    """Recipe name to its file, of all recipes."""
    return {path.stem: path for path in sorted(folder().glob("*/*.py"))}


def describe(path):
    """The first line of the recipe's docstring, without importing it."""
    return (ast.get_docstring(ast.parse(Path(path).read_text())) or "").partition("\n")[0]


def load(name):
    """Imports a recipe by its name or file and returns its `main`."""
    path = Path(name) if str(name).endswith(".py") else find().get(name)
    if path is None:
        raise unknown("recipe", name, find())
    if not path.is_file():
        raise ValueError(f"there is no recipe file of this name. Received: {str(path)!r}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # classes defined in the recipe must be found again by name
    spec.loader.exec_module(module)
    return module.main


def parser_of(main, prog=None):
    """The command line that follows from a recipe's signature."""
    parser = argparse.ArgumentParser(prog=prog, description=(inspect.getdoc(main) or "").partition("\n")[0])
    for name, parameter in inspect.signature(main).parameters.items():
        option, default = "--" + name.replace("_", "-"), parameter.default
        if isinstance(default, bool):
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=default)
        else:
            kind = _type_of(parameter)
            shown = "not set" if default is None else default
            parser.add_argument(
                option, type=kind, default=default, metavar=kind.__name__, help=f"default: {shown}"
            )
    return parser


def _type_of(parameter):
    if parameter.default is not None:
        return type(parameter.default)
    # `samples: int | None = None`
    kinds = getattr(parameter.annotation, "__args__", (parameter.annotation,))
    return next((kind for kind in kinds if kind in (int, float, str)), str)


def run(main, arguments=None):
    """Runs a recipe's `main` from the command line: the last line of every recipe file.

    Returns the process's exit code; bad input gives its message and no traceback.
    """
    from kzoo.cli import guarded

    def command():
        choose()
        values = vars(parser_of(main).parse_args(arguments))
        show(main(**values))

    return guarded(command)


def show(figures):
    """Prints a recipe's figures."""
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", "value", title="Result")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.4f}" if isinstance(value, float) else str(value))
    Console().print(table)


def runs_folder():
    """Where runs leave their results: `KZOO_RUNS`, or `runs/` here."""
    return Path(os.environ.get("KZOO_RUNS") or "runs")


def verbosity():
    """How `fit` reports: a moving bar to people, a line per epoch to files."""
    return 1 if sys.stdout.isatty() else 2


def check_positive(**values):
    """Raises a `ValueError` for the first value that is given and not above zero."""
    for name, value in values.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be above 0. Received: {name}={value}")
