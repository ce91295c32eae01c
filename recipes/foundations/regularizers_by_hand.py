"""Regularisers by hand: what L1, L2 and dropout do for a network with more weights than it has examples for.

Task       tell digits after seeing few of them, a fifth with a label drawn at random, without learning those by heart
Data       1,000 training images of MNIST; strengths are chosen on 2,000 others, whose labels are right
Paper      Zhang et al. (2017), arXiv:1611.03530: networks learn random labels by heart
           Tibshirani (1996), the lasso; Hoerl and Kennard (1970), ridge regression; Srivastava et al. (2014), dropout
Command    kzoo run regularizers_by_hand
Score      MNIST, a fifth of the labels wrong, numpy: best accuracy 87.80% in 6.1 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import numpy as np
from rich.console import Console
from rich.table import Table

import kzoo
from kzoo import plots, recipes
from kzoo.runs import Run
from kzoo.scratch import Activation, Dense, Dropout, Sequential, count_parameters, optimizers, train
from kzoo.scratch.activations import relu
from kzoo.scratch.initializers import he_normal
from kzoo.scratch.losses import sparse_categorical_crossentropy
from kzoo.scratch.regularizers import L1, L2

STRENGTHS = {"none": (0.0,), "L1": (1e-4, 3e-4, 1e-3), "L2": (1e-3, 3e-3, 1e-2), "dropout": (0.3, 0.5, 0.7)}
PENALTIES = {"L1": L1, "L2": L2}


def fit(kind, strength, parts, hidden_dim, num_classes, epochs, batch_size, learning_rate, seed):
    """One network; returns its loss and accuracy by epoch on the training and the validation part, and itself."""
    generator = np.random.default_rng(seed)
    rate = strength if kind == "dropout" else 0.0
    layers, width = [], parts["training"][0].shape[1]
    for _ in range(2):
        layers += [
            Dense(width, hidden_dim, kernel_initializer=he_normal, seed=generator),
            Activation(relu),
            Dropout(rate, seed=generator),
        ]
        width = hidden_dim
    model = Sequential([*layers, Dense(width, num_classes, seed=generator)]).astype("float32")
    history = {
        f"{part} {figure}": [] for part in ("training", "validation") for figure in ("loss", "accuracy")
    }
    for _ in train(
        model,
        *parts["training"],
        loss=sparse_categorical_crossentropy,
        optimizer=optimizers.Adam(learning_rate),
        **dict(epochs=epochs, batch_size=batch_size, seed=seed),
        regularizer=PENALTIES[kind](strength) if kind in PENALTIES else None,
    ):
        for part in ("training", "validation"):  # without penalty and mask
            loss, accuracy = measured(model, *parts[part])
            history[f"{part} loss"].append(loss)
            history[f"{part} accuracy"].append(accuracy)
    return history, model


def measured(model, x, y):
    scores = model.predict(x, 2048)
    return float(sparse_categorical_crossentropy(y, scores)[0]), float(np.mean(scores.argmax(-1) == y))


def main(
    data: str = "mnist",
    samples: int = 1000,
    random_labels: float = 0.2,
    hidden_dim: int = 256,
    epochs: int = 40,
    batch_size: int = 50,
    learning_rate: float = 1e-3,
    seeds: int = 3,
    seed: int = 0,
) -> dict[str, float]:
    """Trains with each regulariser at three strengths, takes that of the least last validation loss, and tests it.

    `samples` are the training images, of which a share of `random_labels` gets a label at random; twice as many
    validate, and the test part is used whole. Figures are means over `seeds` initial weights and orders.
    """
    configuration = dict(locals())
    recipes.check_positive(
        samples=samples, hidden_dim=hidden_dim, epochs=epochs, batch_size=batch_size, seeds=seeds
    )
    run, console = Run("regularizers_by_hand", f"{data}-numpy", configuration, engine="numpy"), Console()
    images = kzoo.data.load(data, seed=seed).take(2 * samples, seed)
    few = images.take(samples, seed)
    generator, (x, y) = np.random.default_rng(seed), few.train
    y = np.where(
        generator.random(len(y)) < random_labels, generator.integers(images.num_classes, size=len(y)), y
    )
    parts = {
        name: (x.reshape(len(x), -1).astype("float32") / 255, y)
        for name, (x, y) in zip(("training", "validation"), ((x, y), images.validation))
    }
    x_test, y_test = kzoo.data.load(data, seed=seed).test
    x_test = x_test.reshape(len(x_test), -1).astype("float32") / 255
    arguments = (parts, hidden_dim, images.num_classes, epochs, batch_size, learning_rate)

    table = Table("regulariser", "strength", "training", "test accuracy", "standard deviation")
    curves, figures = {}, {}
    for kind, strengths in STRENGTHS.items():
        runs = {
            strength: [fit(kind, strength, *arguments, seed + i) for i in range(seeds)]
            for strength in strengths
        }
        best = min(runs, key=lambda s: np.mean([history["validation loss"][-1] for history, _ in runs[s]]))
        histories, models = zip(*runs[best])
        curves[f"{kind} {best:g}" if best else kind] = {
            name: np.mean([history[name] for history in histories], axis=0) for name in histories[0]
        }
        tests = [measured(model, x_test, y_test)[1] for model in models]
        learned = np.mean([history["training accuracy"][-1] for history in histories])
        figures |= {
            f"{kind}_test_accuracy": float(np.mean(tests)),
            f"{kind}_gap": float(learned - np.mean(tests)),
        }
        table.add_row(kind, f"{best:g}", f"{learned:.2%}", f"{np.mean(tests):.2%}", f"{np.std(tests):.2%}")
    console.print(table)
    figures["best_accuracy"] = max(value for name, value in figures.items() if name.endswith("accuracy"))
    figures["seconds"] = round(run.seconds, 1)
    plots.families(
        curves, ("training loss", "validation loss", "validation accuracy"), run.path("regularizers.png"),
        f"{samples:,} images of {images.name}, {random_labels:.0%} of the labels at random",
    )  # fmt: skip
    run.finish(figures=figures, model="mlp", data=images.name, parameters=count_parameters(models[0]))
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
