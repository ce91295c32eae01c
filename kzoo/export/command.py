"""`kzoo export`: its options, and what they mean."""

from pathlib import Path

REPRESENTATIVE, LABELLED = (
    256,
    2000,
)  # images for the ranges of full int8, and to judge quantised artefacts by


def add(command):
    """export a model, run every artefact and compare it with the model"""
    from kzoo.export.formats import DEFAULT, FORMATS

    command.add_argument("model", help="a .keras file or a run folder")
    command.add_argument("directory", help="where the artefacts go")
    command.add_argument(
        "--formats", default=",".join(DEFAULT), help=f"of {', '.join(FORMATS)}; default: %(default)s"
    )
    command.add_argument(
        "--tolerance", type=float, help="largest difference over largest output; default: per format"
    )
    command.add_argument("--lengths", metavar="N,N", help="sizes to compare at where one is free")
    command.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="INPUT=1x64x8",
        help="a fixed shape for TFLite and PyTorch files; may be repeated, ? is free",
    )
    command.add_argument(
        "--fold", action="store_true", help="fold batch normalisation into the layers before it"
    )
    command.add_argument(
        "--allow-flex", action="store_true", help="let TFLite use TensorFlow's operators where it has none"
    )
    command.add_argument(
        "--import",
        action="append",
        default=[],
        dest="modules",
        metavar="MODULE",
        help="a module that defines classes of the model; may be repeated",
    )
    command.add_argument(
        "--data", metavar="NAME", help="images for tflite_int8, and to judge what is quantised; see kzoo list"
    )
    return run


def run(options):
    """Exports, and prints the report."""
    from rich.console import Console

    from kzoo import export
    from kzoo.export.shapes import parse_shape

    console = Console()
    more = {}
    if options.data is not None:
        more["representative"], more["metric_data"] = _examples(options.model, options.data)
    try:
        report = export.export(
            options.model,
            options.directory,
            formats=[name.strip() for name in options.formats.split(",") if name.strip()],
            tolerance=options.tolerance,
            progress=lambda line: console.print(line, markup=False, highlight=False),
            lengths=_lengths(options.lengths),
            static_shape=dict(map(parse_shape, options.shape)) or None,
            allow_flex=options.allow_flex,
            modules=options.modules,
            fold=options.fold,
            **more,
        )
    except export.ExportError as error:
        if error.report is not None:
            console.print(error.report)
        raise
    console.print(report)


def _lengths(text):
    if text is None:
        return None
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise ValueError(f"--lengths takes whole numbers, such as 16,32. Received: {text!r}") from None


def _examples(model, data):
    """Prepared images for the ranges of full int8, and labelled ones, as the model's card prepares them."""
    from kzoo.data import Preprocessing, load
    from kzoo.predict import read_card

    card = read_card(Path(model))
    prepare, images = Preprocessing.from_dict(card["preprocessing"]), load(data)
    if images.image_shape != prepare.image_shape or list(images.labels) != list(card["labels"]):
        raise ValueError(
            f"the model is for images of {prepare.image_shape} and {len(card['labels'])} classes, the data set has "
            f"{images.image_shape} and {len(images.labels)}. Received: --data {data}"
        )
    images = images.take(LABELLED)
    x, y = images.test
    return prepare(images.train[0][:REPRESENTATIVE]), (prepare(x), y)
