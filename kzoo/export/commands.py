"""`kzoo publish`, `verify` and `benchmark`: each function adds the options of one and returns what runs it."""


def publish(command):
    """write a model as the next version of a served model: BASE/NAME/VERSION, for TensorFlow Serving"""
    command.add_argument("model", help="a .keras file or a run folder")
    command.add_argument("base", help="the directory of all served models")
    command.add_argument(
        "--samples", metavar="NAME", help="a data set with pictures for the page of `kzoo serve`"
    )
    command.add_argument(
        "--name", help="the model's name on the server; default: the run folder's or the file's"
    )
    command.add_argument("--version", type=int, help="default: one more than the highest there")
    command.add_argument(
        "--tolerance", type=float, help="largest difference over largest output; default: 1e-5"
    )
    _import_option(command)

    def run(options):
        from kzoo.export.publisher import publish

        _import(options)
        console = _console()
        console.print(
            publish(
                options.model,
                options.base,
                name=options.name,
                version=options.version,
                tolerance=options.tolerance,
                samples=options.samples,
                progress=_line(console),
            )
        )

    return run


def verify(command):
    """run an artefact and its model on the same inputs and compare; exit code 1 if they differ"""
    command.add_argument("artefact", help="what `kzoo export` or `kzoo publish` wrote")
    command.add_argument("model", help="a .keras file or a run folder")
    command.add_argument("--batch-sizes", default="1,2,7", metavar="N,…", help="default: %(default)s")
    command.add_argument("--lengths", metavar="N,…", help="where a length, height or width is free")
    command.add_argument(
        "--tolerance", type=float, help="largest difference over largest output; default: per format"
    )
    command.add_argument("--json", metavar="FILE", help="write the table there, too")
    _import_option(command)

    def run(options):
        from kzoo.export.check import verify_artefact

        _import(options)
        check = verify_artefact(
            options.artefact,
            options.model,
            batch_sizes=_numbers("--batch-sizes", options.batch_sizes),
            lengths=_numbers("--lengths", options.lengths),
            tolerance=options.tolerance,
        )
        if options.json:
            check.save(options.json)
        _console().print(check)
        return int(not check.passed)

    return run


def benchmark(command):
    """export a model to every format and precision; size, speed, memory, difference and accuracy of each"""
    command.add_argument("model", help="a .keras file or a run folder")
    command.add_argument("--formats", metavar="NAME,…", help="default: all whose packages are installed")
    command.add_argument(
        "--data", metavar="NAME", help="test set for the accuracy; default: the one of the card"
    )
    command.add_argument(
        "--out", metavar="DIRECTORY", help="keep the artefacts, benchmark.json and benchmark.png there"
    )
    command.add_argument("--threads", type=int, default=1, help="of each runtime; default: %(default)s")
    command.add_argument("--batch", type=int, default=32, help="for the throughput; default: %(default)s")
    command.add_argument("--seconds", type=float, default=2.0, help="of each timing; default: %(default)s")
    command.add_argument(
        "--samples", type=int, default=2000, help="test images at most; default: %(default)s"
    )
    _import_option(command)
    command.add_argument(
        "--fold", action="store_true", help="fold batch normalisation into the layers before it"
    )

    def run(options):
        from pathlib import Path

        from kzoo.export.speed import benchmark

        _import(options)
        console = _console()
        result = benchmark(
            options.model,
            formats=options.formats and [name.strip() for name in options.formats.split(",") if name.strip()],
            data=options.data,
            directory=options.out,
            threads=options.threads,
            batch=options.batch,
            seconds=options.seconds,
            samples=options.samples,
            fold=options.fold,
            progress=_line(console),
        )
        console.print(result)
        if options.out:
            result.save(Path(options.out, "benchmark.json"))
            console.print(f"{result.draw(Path(options.out, 'benchmark.png'))}", highlight=False)

    return run


def _import_option(command):
    command.add_argument(
        "--import", action="append", default=[], dest="modules", metavar="MODULE",
        help="a module that defines classes of the model; may be repeated",
    )  # fmt: skip


def _import(options):
    from kzoo.export.archive import import_modules

    import_modules(options.modules)


def _console():
    """The console; where nobody looks at a terminal, tables are as wide as they want to be."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=140)


def _line(console):
    return lambda line: console.print(line, markup=False, highlight=False)


def _numbers(option, text):
    if text is None:
        return None
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise ValueError(
            f"{option} takes whole numbers with commas between them. Received: {text!r}"
        ) from None
