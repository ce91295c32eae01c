"""A run's folder: the model, its card, its curves and pictures."""

import importlib.metadata
import json
import platform
import time

import keras

import kzoo
from kzoo.backend.state import tensorflow_left_out
from kzoo.callbacks.run_log import RunLog
from kzoo.files import check_writable, replacing, write_json
from kzoo.machine import machine
from kzoo.recipes import runs_folder
from kzoo.runlog import interrupted_seconds

CARD = "card.json"
ROWS = "rows.json"


class Run:
    """What one run of a recipe leaves behind, for people and for `export`, `predict` and serving.

    `run.log` is a callback for `fit`: its epochs go into the run's log, which `kzoo runs` shows.

    Args:
        recipe: its name: the folder is `runs/<recipe>/<name>`.
        name: what tells this run from others of the recipe, e.g. data, model and engine.
        configuration: the arguments of the recipe.
        engine: what computed it; "numpy" for recipes by hand. By default the engine of this process.
    """

    def __init__(self, recipe, name, configuration, engine=None):
        self.recipe = recipe
        self.engine = engine or keras.config.backend()
        self.configuration = dict(configuration)
        self.folder = check_writable(runs_folder() / recipe / name)
        self.log = RunLog(
            self.folder, self.configuration, recipe=recipe, **({"engine": engine} if engine else {})
        )
        self._start = time.perf_counter() - interrupted_seconds(self.folder, self.configuration)
        self.log.start()

    def path(self, name):
        return self.folder / name

    def once(self, name, compute):
        """What `compute()` gives, kept in `rows.json` under a name.

        A run of several trainings that is started again with the same configuration goes on with the next of them.

        Args:
            name: what tells this part of the run from its others.
            compute: a function without arguments that gives something JSON can hold.
        """
        path = self.path(ROWS)
        kept = json.loads(path.read_text()) if path.exists() else {}
        configuration = json.loads(json.dumps(self.configuration))
        rows = kept.get("rows", {}) if kept.get("configuration") == configuration else {}
        if name not in rows:
            rows[name] = compute()
            write_json(path, {"configuration": configuration, "rows": rows})
        return rows[name]

    @property
    def seconds(self):
        """Time since the run began, without that between a stop and the next start."""
        return time.perf_counter() - self._start

    def save(self, trained, *, figures, history, **card):
        """Writes `model.keras`, `history.json` and last of all `card.json`.

        Args:
            trained: the trained model.
            figures: name to number: what the recipe returns.
            history: log name to its values by epoch.
            **card: what users of the model need: `model`, `data`, `labels`, `preprocessing`, `outputs` …
        """
        with replacing(self.path("model.keras")) as aside, tensorflow_left_out():
            trained.save(aside)
        write_json(
            self.path("history.json"), {name: [float(v) for v in values] for name, values in history.items()}
        )
        self.finish(figures=figures, parameters=trained.count_params(), **card)

    def finish(self, *, figures, **card):
        """Writes `card.json` and the end of the log; by itself for a run that leaves no single model."""
        write_json(
            self.path(CARD),
            {
                "recipe": self.recipe,
                **card,
                "configuration": self.configuration,
                "figures": figures,
                "seconds": round(self.seconds, 1),
                "engine": self.engine,
                "machine": machine(),
                "versions": versions(self.engine),
                "date": time.strftime("%Y-%m-%d"),
            },
        )
        self.log.end(figures)


def versions(engine=None):
    """The versions of what the figures depend on."""
    found = {"python": platform.python_version(), "kzoo": kzoo.__version__, "keras": keras.__version__}
    engine = engine or keras.config.backend()
    return found | {name: importlib.metadata.version(name) for name in (engine, "numpy")}
