"""Architectures compared by cost: the same data, budget and recipe for each, one table and three pictures.

Task       choose a classifier: what do filter size, stride, pooling and width buy, and what do they cost?
Data       a name that `kzoo list` shows (`fashion_mnist` is the default), or a folder of images by class
Paper      Springenberg et al. (2015), Striving for simplicity, arXiv:1412.6806: strides in the place of pooling
Command    kzoo run architecture_comparison --backend tensorflow
           kzoo run architecture_comparison --models cnn,resnet20,googlenet,efficientnet_b0,mobilenet_v2,capsnet_small
Score      CNN designs, 10,000 images, tensorflow: best accuracy 87.77% in 8.0 min*
           Fashion-MNIST, 10,000 images, designs, torch: best accuracy 88.24% in 178.3 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import functools
import time

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import Batches, Preprocessing
from kzoo.models import catalog
from kzoo.models.cost import multiply_adds
from kzoo.runs import Run

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def margin(y, lengths):
    """For capsules, whose lengths lie between 0 and 1: as logits they could not be sure."""
    classes = keras.ops.one_hot(keras.ops.reshape(y, (-1,)), lengths.shape[-1])
    return kzoo.losses.CapsuleMargin()(classes, lengths)


def arguments_of(name, images):
    """What a model of the catalog is made with for these images."""
    shape = dict(image_shape=images.image_shape, num_classes=images.num_classes)
    return shape | (catalog.small_image_arguments(name) if max(images.image_shape[:2]) < 64 else {})


def compiled(name, images, configuration, steps):
    """A fresh model of the catalog, ready to be trained for so many steps."""
    kzoo.set_seed(configuration["seed"])
    classifier = kzoo.create_model(name, **arguments_of(name, images), dropout=configuration["dropout"])
    kzoo.accelerate(classifier)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 20, warmup_target=configuration["learning_rate"], warmup_steps=steps // 20
    )
    classifier.compile(
        keras.optimizers.AdamW(schedule, weight_decay=0.01),
        margin if catalog.family_of(name) == "capsnet" else CROSS_ENTROPY,
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    return classifier


def train(name, images, configuration, run):
    """Trains one model, or takes up where it stopped, and gives its row of the table."""
    epochs, batch_size, seed = (configuration[key] for key in ("epochs", "batch_size", "seed"))
    prepare = Preprocessing.fit(images.train[0])
    batches = {
        part: Batches(
            *getattr(images, part), batch_size, seed=seed, shuffle=part == "train", preprocess=prepare
        )
        for part in ("train", "validation", "test")
    }
    classifier = compiled(name, images, configuration, epochs * len(batches["train"]))
    resume = Resume(run.path(f"resume-{name}"), data=batches["train"], configuration=configuration)
    classifier.fit(
        batches["train"],
        epochs=epochs,
        validation_data=batches["validation"],
        callbacks=[resume, run.log],
        verbose=recipes.verbosity(),
    )
    scores = classifier.predict(batches["test"], verbose=0)
    predicted = np.argmax(scores, axis=-1)
    if catalog.family_of(name) == "capsnet":
        scores = scores / scores.sum(-1, keepdims=True)  # lengths, as shares
    first = tuple(part[:24] for part in (*images.test, scores))
    plots.predictions(*first, images.labels, run.path(f"predictions-{name}.png"), name)
    return {
        "model": name,
        "test_accuracy": float(np.mean(predicted == images.test[1])),
        "parameters": classifier.count_params(),
        "multiply_adds": multiply_adds(classifier),
        "history": resume.history,
    }


def step_times(names, images, configuration, rounds=8, steps=5):
    """Milliseconds of a training step by model: medians over rounds in which each has its turn."""
    size = min(configuration["batch_size"], len(images.train[0]))
    x, y = (part[:size] for part in images.train)
    x = Preprocessing.fit(x)(x)
    models = {name: compiled(name, images, configuration, 1000) for name in names}
    times = {name: [] for name in names}
    for _ in range(rounds + 1):
        for name, classifier in models.items():
            start = time.perf_counter()
            for _ in range(steps):
                classifier.train_on_batch(x, y)  # gives numbers, so that it waits for the engine
            times[name].append(1000 * (time.perf_counter() - start) / steps)
    return {name: float(np.median(several[1:])) for name, several in times.items()}  # the first compiles


def main(
    data: str = "fashion_mnist",
    models: str = "mlp_small,mlp,cnn_small,cnn,cnn_5x5,cnn_strided,cnn_average",
    epochs: int = 5,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    dropout: float = 0.25,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains each model alike. A model that is done is not trained again when the command is repeated."""
    configuration = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, samples=samples)
    names = list(dict.fromkeys(name.strip() for name in models.split(",") if name.strip()))
    images = kzoo.data.load(data, seed=seed).take(samples, seed)
    for name in names:  # a name that does not exist is told before anything is trained
        catalog.skeleton(name, **arguments_of(name, images))
    engine = keras.config.backend()
    run = Run("architecture_comparison", f"{images.name}-{engine}", configuration)
    rows = [run.once(name, functools.partial(train, name, images, configuration, run)) for name in names]
    rows = [row | {"step_ms": ms} for row, ms in zip(rows, step_times(names, images, configuration).values())]
    table = Table("model", "test accuracy", "parameters", "multiply-adds", "ms a step", title=images.name)
    for row in sorted(rows, key=lambda row: -row["test_accuracy"]):
        cells = f"{row['test_accuracy']:.2%}", f"{row['parameters']:,}", f"{row['multiply_adds']:,}"
        table.add_row(row["model"], *cells, f"{row['step_ms']:.1f}")
    Console().print(table)
    curves = {row["model"]: [row["history"]["val_accuracy"]] for row in rows}
    plots.bands(curves, run.path("curves.png"), title=images.name, y="validation accuracy")
    plots.costs(rows, run.path("costs.png"), title=f"{images.name}, {epochs} epochs ({engine})")
    figures = {f"{row['model']}_accuracy": row["test_accuracy"] for row in rows}
    figures |= {f"{row['model']}_step_ms": row["step_ms"] for row in rows}
    best = max(rows, key=lambda row: row["test_accuracy"])
    figures["best_accuracy"] = best["test_accuracy"]
    costs = [{key: value for key, value in row.items() if key != "history"} for row in rows]
    told = dict(model=best["model"], data=images.name, parameters=best["parameters"], costs=costs)
    run.finish(figures=figures, **told)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
