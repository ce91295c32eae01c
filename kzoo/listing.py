"""`kzoo list`: what there is."""

from kzoo import engine


def add(command):
    """models by family, recipes and data sets; with a pattern: the models that match, their costs and weights"""
    command.add_argument("pattern", nargs="?", help='of models, as in a shell: "resnet*"')

    def run(options):
        engine.choose(engine.lightest())
        _models(options.pattern) if options.pattern else _everything()

    return run


def _everything():
    from rich.console import Console
    from rich.table import Table

    from kzoo import data, recipes
    from kzoo.models import catalog

    sections = {
        "Models": {
            family: f"{catalog.describe_family(family)}\n[dim]{', '.join(catalog.list_models(family=family))}[/]"
            for family in sorted(catalog.FAMILIES)
        },
        "Recipes": {name: recipes.describe(path) for name, path in recipes.find().items()},
        "Data": data.list_data(),
        "Texts": data.list_texts(),
    }
    console = Console()
    for title, rows in sections.items():
        table = Table("name", "", title=title, title_justify="left", show_header=False, box=None)
        for name, line in rows.items():
            table.add_row(f"[bold]{name}[/]", line)
        console.print(table, "")
    console.print('kzoo list "resnet*": parameters, multiply-adds and published weights of each model')
    console.print(f"Engines installed: {', '.join(engine.installed())}")


def _models(pattern):
    """What each model that matches costs, and below it its published weights."""
    from rich.console import Console

    from kzoo.models import catalog

    names = catalog.list_models(pattern)
    if not names:
        raise engine.unknown("model", pattern, catalog.list_models())
    console = Console(highlight=False, soft_wrap=True)
    for name in names:
        parts = [f"[bold]{name}[/]"]
        if cost := catalog.costs().get(name):
            parts.append(f"{cost['parameters'] / 1e6:,.1f} M parameters")
            if "multiply_adds" in cost:
                parts.append(f"{cost['multiply_adds'] / 1e9:,.2f} G multiply-adds")
        console.print("  ".join(parts), f"[dim]{catalog.sizes_of(name)}[/]")
        for key, top1, licence in _sets(name):
            console.print(f"    {key:40}  {top1:>6}  {licence}".rstrip())


def _sets(name):
    """Key, top-1 and licence of each published set of weights."""
    from kzoo.weights.catalog import HUB, published

    rows = [(one.key, f"{one.top1:.1f} %" if one.top1 else "", one.licence or "") for one in published(name)]
    return rows + ([(f"transformers:{HUB[name]}", "", "")] if name in HUB else [])
