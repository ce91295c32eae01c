"""The `kzoo` command: one function per sub-command adds its options and returns what runs it."""

import argparse
import os
import sys
import traceback

from kzoo import __version__, engine, listing
from kzoo.export import command as export
from kzoo.export import commands
from kzoo.serve import command as serve
from kzoo.serve import config


def main(arguments=None):
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="kzoo", description="A model zoo for Keras 3 on TensorFlow, PyTorch and JAX."
    )
    parser.add_argument("--version", action="version", version=f"kzoo {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, add in _COMMANDS.items():
        # `kzoo run RECIPE --help` shows the recipe's options, so these two answer --help themselves.
        own_help = name in ("run", "compare")
        command = commands.add_parser(name, help=add.__doc__, description=add.__doc__, add_help=not own_help)
        command.set_defaults(run=add(command))
    options, rest = parser.parse_known_args(arguments)
    if rest and not getattr(options, "takes_rest", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its start-up notes hide the answer
    return guarded(lambda: options.run(options))


def guarded(command):
    """Runs a function; what a user can put right is told in a line on stderr, with exit code 1 and no traceback.

    `KZOO_TRACEBACK=1` shows where it came from.
    """
    from rich.console import Console

    try:
        return command() or 0
    except KeyboardInterrupt:
        Console(stderr=True).print("kzoo: stopped. The same command goes on after the last finished epoch.")
        return 130
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if os.environ.get("KZOO_TRACEBACK"):
            traceback.print_exc()
        Console(stderr=True, soft_wrap=True).print(f"kzoo: {error}", markup=False, highlight=False)
        return 1


def _start(backend):
    """Chooses the engine, imports Keras and the classes that saved files may name."""
    engine.choose(backend)
    import kzoo

    for name in (*kzoo._HOMES, *kzoo._ROOMS):
        getattr(kzoo, name)


def _backend_option(command):
    command.add_argument(
        "--backend", metavar="ENGINE", help="tensorflow, torch or jax; default: KERAS_BACKEND"
    )


def _recipe_argument(command):
    command.add_argument("recipe", nargs="?", help="a name from `kzoo list`, or a file")
    command.add_argument(
        "-h", "--help", action="store_true", dest="wants_help", help="also of a recipe's options"
    )
    command.set_defaults(takes_rest=True)


def _need_recipe(options, command):
    if options.recipe is None:
        command.print_help()
        raise SystemExit(0 if options.wants_help else 2)


def _recipe(options, command):
    """The recipe's `main` and its arguments, from what follows its name."""
    from kzoo import recipes

    main = recipes.load(options.recipe)
    parser = recipes.parser_of(main, f"kzoo {options.command} {options.recipe}")
    return main, vars(parser.parse_args(["--help"] if options.wants_help else options.rest))


def _run(command):
    """run a recipe; its options follow its name (kzoo run RECIPE --help)"""
    _backend_option(command)
    _recipe_argument(command)

    def run(options):
        _need_recipe(options, command)
        _start(options.backend)
        from kzoo import recipes

        main, values = _recipe(options, command)
        recipes.show(main(**values))

    return run


def _compare(command):
    """run a recipe on every engine from the same weights and batches; draw and tabulate the differences"""
    _recipe_argument(command)
    command.add_argument("--engines", default=",".join(engine.ENGINES), help="default: %(default)s")
    command.add_argument(
        "--random", action="store_true", help="leave dropout on: the engines draw differently"
    )

    def run(options):
        from rich.console import Console

        _need_recipe(options, command)
        _start(engine.lightest())
        from kzoo import comparison

        _, values = _recipe(options, command)
        console = Console()
        result = comparison.compare(
            options.recipe,
            engines=[name.strip() for name in options.engines.split(",")],
            arguments=values,
            deterministic=not options.random,
            progress=console.print,
        )
        console.print(result)
        return int(bool(result.failed))

    return run


def _runs(command):
    """what was run: list runs, or compare some by their configurations and figures"""
    command.add_argument("names", nargs="*", help="runs to compare: folders, or parts of their names")
    command.add_argument("--folder", help="where the runs are; default: KZOO_RUNS, or runs")
    command.add_argument("--sort", metavar="FIGURE", help="the highest first; default: by time")

    def run(options):
        from rich.console import Console

        from kzoo import recipes, runlog

        folder = options.folder or recipes.runs_folder()
        found = runlog.read(folder)
        if options.names:
            chosen = []
            for name in options.names:
                matching = [one for one in found if name in one.name]
                if not matching:
                    raise engine.unknown("run", name, [one.name for one in found])
                chosen += [one for one in matching if one not in chosen]
            found = chosen
        if not found:
            raise ValueError(f"no run has left a log here: kzoo run RECIPE leaves one. Received: {folder}")
        if options.sort:
            known = {name for one in found for name in one.figures}
            if options.sort not in known:
                raise engine.unknown("figure", options.sort, known)
            found.sort(key=lambda one: one.figures.get(options.sort, float("-inf")), reverse=True)
        Console().print(runlog.comparison(found) if options.names else runlog.listing(found))

    return run


def _predict(command):
    """labels and scores of images, from a run folder or an exported artefact"""
    command.add_argument("model", help="a run folder, a .keras file or an exported artefact")
    command.add_argument("files", nargs="+", help="images or folders of images")
    command.add_argument("--top", type=int, default=3, help="labels per image; default: %(default)s")
    command.add_argument("--csv", action="store_true", help="CSV instead of a table")
    command.add_argument("--skip-corrupt", action="store_true", help="name unreadable images and go on")
    _backend_option(command)

    def run(options):
        from rich.console import Console

        _start(options.backend)
        from kzoo import predict

        corrupt = "skip" if options.skip_corrupt else "error"
        predictions = predict.predict(options.model, options.files, top=options.top, on_corrupt=corrupt)
        if options.csv:
            predict.write_csv(predictions, sys.stdout)
        else:
            Console().print(predict.table(predictions))

    return run


def _validate(command):
    """top-1, top-5 and images a second of a classifier on a folder of images, a row of a table"""
    command.add_argument("model", help="a model with published weights, a run folder or an exported artefact")
    command.add_argument("folder", help="one sub-folder per class")
    command.add_argument("--pretrained", metavar="SOURCE", help="which published weights; default: the first")
    command.add_argument("--batch-size", type=int, default=32, help="default: %(default)s")
    command.add_argument("--workers", type=int, help="threads that read images; default: one per core")
    command.add_argument("--csv", metavar="FILE", help="add the row to this table")
    _backend_option(command)

    def run(options):
        from rich.console import Console
        from rich.table import Table

        _start(options.backend)
        from kzoo import validate

        row = validate.validate(
            options.model,
            options.folder,
            pretrained=options.pretrained or True,
            batch_size=options.batch_size,
            workers=options.workers,
        )
        if options.csv:
            validate.add_row(options.csv, row)
        table = Table(*row, box=None, header_style="bold")
        table.add_row(*(f"{v:.4f}" if k in ("top1", "top5") else _short(v) for k, v in row.items()))
        Console().print(table)

    return run


def _generate(command):
    """what a trained language model writes after a prompt, by its run folder"""
    command.add_argument("folder", metavar="RUN", help="a run folder with a model and its vocabulary")
    command.add_argument("--prompt", default="\n", help="what to go on from; default: a line's end")
    command.add_argument("--count", type=int, default=500, help="symbols to write; default: %(default)s")
    command.add_argument(
        "--temperature", type=float, default=0.8, help="0: the likeliest; default: %(default)s"
    )
    command.add_argument("--top-k", type=int, help="draw from so many of the likeliest alone")
    command.add_argument("--top-p", type=float, help="draw from the likeliest of this probability alone")
    command.add_argument("--seed", type=int, default=0, help="of the draws; default: %(default)s")
    command.add_argument("--stream", action="store_true", help="show symbols as they are written")

    def run(options):
        from kzoo.generation import text

        model, tokens = text.load(options.folder)
        settings = {name: getattr(options, name) for name in ("temperature", "top_k", "top_p", "seed")}
        given = model, tokens, options.prompt, options.count
        written = text.stream_text(*given, **settings) if options.stream else [text.write(*given, **settings)]
        for i, part in enumerate(written):
            sys.stdout.write(part if i else options.prompt.lstrip("\n") + part)
            sys.stdout.flush()
        sys.stdout.write("\n")

    return run


def _short(value):
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _on_an_engine(add):
    """A command that loads a Keras model: it also takes `--backend`."""

    def add_both(command):
        run = add(command)
        _backend_option(command)

        def start(options):
            _start(options.backend)
            return run(options)

        return start

    add_both.__doc__ = add.__doc__
    return add_both


_COMMANDS = {
    "list": listing.add,
    "run": _run,
    "compare": _compare,
    "runs": _runs,
    "export": _on_an_engine(export.add),
    "verify": _on_an_engine(commands.verify),
    "benchmark": _on_an_engine(commands.benchmark),
    "predict": _predict,
    "validate": _validate,
    "generate": _on_an_engine(_generate),
    "publish": _on_an_engine(commands.publish),
    "serve": serve.add,
    "serve-config": config.add,
}
