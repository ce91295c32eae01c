"""Optimizers and learning-rate schedules compared: how fast they learn and where they end.

Task       train one classifier with each optimizer, then with each schedule, from the same weights and batches
Data       a name that `kzoo list` shows (`fashion_mnist`), 10,000 training images
Paper      schedules: arXiv:1506.01186, 1608.03983, 1708.07120; Lookahead: 1907.08610; SAM: 2010.01412; Lion: 2302.06675
Command    kzoo run optimizer_comparison --backend jax
Score      Fashion-MNIST, 10,000 images, jax: best accuracy 85.98% in 1.4 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import functools

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import kzoo
from kzoo import plots, recipes
from kzoo.data import Batches, Preprocessing
from kzoo.learners import SharpnessAware
from kzoo.optimizers import Lookahead
from kzoo.optimizers.schedules import Cyclical, Noam, OneCycle, Restarts, Warmup
from kzoo.runs import Run

decays = keras.optimizers.schedules
# Each at a rate of the order of magnitude that suits it.
OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.05),
    "momentum": lambda: keras.optimizers.SGD(0.02, momentum=0.9),
    "Nesterov": lambda: keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
    "AdaGrad": lambda: keras.optimizers.Adagrad(0.02),
    "RMSprop": lambda: keras.optimizers.RMSprop(1e-3),
    "Adam": lambda: keras.optimizers.Adam(1e-3),
    "AdamW": lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.01),
    "Lion": lambda: keras.optimizers.Lion(2e-4),
    "Adafactor": lambda: keras.optimizers.Adafactor(0.01),
    "Lookahead(Adam)": lambda: Lookahead(keras.optimizers.Adam(1e-3)),
    "SAM(momentum)": lambda: keras.optimizers.SGD(0.02, momentum=0.9),
}


def schedules(steps, rate):
    """Every schedule of the comparison for a training of so many steps."""
    warm = max(1, steps // 10)
    return {
        "constant": rate,
        "step": decays.ExponentialDecay(rate, max(1, steps // 3), 0.3, staircase=True),
        "exponential": decays.ExponentialDecay(rate, steps, 0.03),
        "cosine": decays.CosineDecay(rate, steps),
        "warm restarts": Restarts(decays.CosineDecay(rate, warm), warm, length=2.0),
        "warm-up, cosine": Warmup(decays.CosineDecay(rate, steps - warm), warm),
        "Noam": Noam(512, warm, scale=rate * 512**0.5 * warm**0.5),
        "triangular": Cyclical(rate / 10, rate, warm),
        "triangular2": Cyclical(rate / 10, rate, warm, "triangular2"),
        "exp_range": Cyclical(rate / 10, rate, warm, "exp_range", gamma=0.05 ** (1 / steps)),
        "one-cycle": OneCycle(rate, steps),
    }


def train(name, optimizer, images, configuration, run):
    """One training from the seed's weights: its losses and test accuracies by epoch."""
    kzoo.set_seed(configuration["seed"])
    prepare = Preprocessing.fit(images.train[0])
    batches = Batches(
        *images.train,
        configuration["batch_size"],
        seed=configuration["seed"],
        drop_last=True,
        preprocess=prepare,
    )
    test = Batches(*images.test, 500, shuffle=False, preprocess=prepare)
    model = kzoo.create_model(
        configuration["model"], image_shape=images.image_shape, num_classes=images.num_classes, dropout=0.0
    )
    trained = SharpnessAware(model) if name.startswith("SAM") else model
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trained.compile(optimizer, loss, metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")])
    options = dict(epochs=configuration["epochs"], callbacks=[run.log], verbose=recipes.verbosity())
    history = trained.fit(batches, validation_data=test, **options).history
    return {"loss": history["loss"], "test_accuracy": history["val_accuracy"]}


def main(
    data: str = "fashion_mnist",
    model: str = "mlp_small",
    samples: int = 10000,
    epochs: int = 12,
    batch_size: int = 64,
    learning_rate: float = 0.05,
    only: str = "",
    test_samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains with every optimizer at its own rate, and with every schedule around SGD with momentum 0.9.

    `learning_rate` is the schedules' highest. The figures are the test accuracies at the end; the tables also tell how
    many epochs it took to come nine tenths of the way from chance to the best. `only` names some of both, by commas.
    """
    configuration = dict(locals())
    recipes.check_positive(samples=samples, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    images = kzoo.data.load(data, seed=seed).take({"train": samples, "test": test_samples}, seed)
    engine = keras.config.backend()
    run = Run("optimizer_comparison", f"{images.name}-{model}-{engine}", configuration)
    steps = epochs * (len(images.train[0]) // batch_size)
    planned = schedules(steps, learning_rate)
    makers = {"optimizers": OPTIMIZERS, "schedules": {}}
    for name, schedule in planned.items():
        makers["schedules"][name] = functools.partial(keras.optimizers.SGD, schedule, momentum=0.9)
    figures, chosen = {}, [name.strip() for name in only.split(",") if name.strip()]
    known = [name for made in makers.values() for name in made]
    if unknown := set(chosen) - set(known):
        raise ValueError(f"there are {', '.join(known)}. Received: {', '.join(sorted(unknown))}")
    for kind, made in makers.items():
        made = {name: make for name, make in made.items() if not chosen or name in chosen}
        if not made:
            continue
        rows = {
            name: run.once(
                f"{kind}: {name}", lambda n=name, m=make: train(n, m(), images, configuration, run)
            )
            for name, make in made.items()
        }
        best = max(max(row["test_accuracy"]) for row in rows.values())
        goal = 1 / images.num_classes + 0.9 * (best - 1 / images.num_classes)
        table = Table(kind, "final accuracy", f"epochs to {goal:.1%}", "final loss", title=images.name)
        for name, row in sorted(rows.items(), key=lambda item: -item[1]["test_accuracy"][-1]):
            reached = np.flatnonzero(np.array(row["test_accuracy"]) >= goal)
            epoch = str(reached[0] + 1) if len(reached) else "–"
            table.add_row(name, f"{row['test_accuracy'][-1]:.2%}", epoch, f"{row['loss'][-1]:.3f}")
            figures[f"{name}_accuracy"] = float(row["test_accuracy"][-1])
        Console().print(table)
        plots.bands(
            {name: [row["test_accuracy"]] for name, row in rows.items()},
            run.path(f"{kind}.png"),
            title=f"{kind} on {images.name}, {samples:,} images ({engine})",
            y="test accuracy",
        )
    planned["constant"] = lambda step: learning_rate
    plots.schedules(planned, steps, run.path("rates.png"), title="Learning rates by step")
    figures["best_accuracy"] = max(figures.values())
    shape = dict(image_shape=images.image_shape, num_classes=images.num_classes)
    count = kzoo.create_model(model, **shape).count_params()
    run.finish(figures=figures, model=model, data=images.name, parameters=count)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
