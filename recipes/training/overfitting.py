"""Overfitting, and what helps: training-set size × width × regulariser, in one figure.

Task       see bias and variance: how far training and test error are apart, and what closes the gap
Data       a name that `kzoo list` shows (`fashion_mnist`); nested training subsets, 2,000 test images
Paper      dropout: Srivastava et al. (2014); label smoothing: arXiv:1512.00567; mixup: arXiv:1710.09412; bias and
           variance of 0-1 loss: Domingos (2000)
Command    kzoo run overfitting --backend jax
Score      Fashion-MNIST, 4,000 images, 3 subsets, jax: none accuracy 83.40%, best accuracy 84.32% in 47.7 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import functools

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import kzoo
from kzoo import plots, recipes
from kzoo.data import Batches, MixedBatches, Preprocessing, augment
from kzoo.runs import Run

METHODS = ("none", "l2", "dropout", "label_smoothing", "mixup", "augmentation", "early_stopping")


def network(width, method, image_shape, num_classes):
    """An MLP of two hidden layers: wide enough to know its training set by heart."""
    l2 = keras.regularizers.L2(2e-3) if method == "l2" else None
    layers = [keras.Input(image_shape), keras.layers.Flatten()]
    for _ in range(2):
        layers.append(keras.layers.Dense(width, activation="relu", kernel_regularizer=l2))
        layers += [keras.layers.Dropout(0.5, seed=1)] if method == "dropout" else []
    return keras.Sequential([*layers, keras.layers.Dense(num_classes)])


def train(method, width, size, images, configuration):
    """Trains on `repeats` subsets of one size: errors of each, and the bias and variance of the test predictions."""
    x_test, y_test = images.test
    epochs, batch_size, seed = (configuration[key] for key in ("epochs", "batch_size", "seed"))
    row = {"method": method, "width": width, "size": size, "train_error": [], "test_error": []}
    answers = []
    for repeat in range(configuration["repeats"]):
        kzoo.set_seed(seed + repeat)
        x, y = images.take({"train": size}, seed + repeat).train
        prepare = Preprocessing.fit(x)
        model = network(width, method, images.image_shape, images.num_classes)
        smoothing = 0.1 if method == "label_smoothing" else 0.0
        model.compile(
            keras.optimizers.Adam(
                configuration["learning_rate"],
                clipnorm=configuration["clipnorm"] or None,
                gradient_accumulation_steps=configuration["accumulate"]
                if configuration["accumulate"] > 1
                else None,
            ),
            keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing),
        )
        held = max(1, len(x) // 10) if method == "early_stopping" else 0
        one_hot = np.eye(images.num_classes, dtype="float32")[y]
        change = augment.shift_flip(2, flip=True) if method == "augmentation" else None
        options = dict(seed=seed, drop_last=True, preprocess=prepare, augment=change)
        if method == "mixup":
            mixup = dict(layers=[keras.layers.MixUp(0.2)], num_classes=images.num_classes)
            batches = MixedBatches(x, y, batch_size, **mixup, **options)
        else:
            batches = Batches(x[held:], one_hot[held:], batch_size, **options)
        stop = {}
        if held:  # a tenth of the examples says when, and is not trained on
            patience = keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True)
            stop = dict(validation_data=(prepare(x[:held]), one_hot[:held]), callbacks=[patience])
        model.fit(batches, epochs=epochs, verbose=0, **stop)
        for part, (inputs, labels) in {"train": (x, y), "test": (x_test, y_test)}.items():
            guess = model.predict(prepare(inputs), batch_size=500, verbose=0).argmax(-1)
            row[f"{part}_error"].append(float(np.mean(guess != labels)))
        answers.append(guess)
    votes = np.stack([np.sum([a == k for a in answers], 0) for k in range(images.num_classes)])
    main_answer = votes.argmax(0)
    row["bias"] = float(np.mean(main_answer != y_test))
    row["variance"] = float(np.mean([a != main_answer for a in answers]))
    return row


def main(
    data: str = "fashion_mnist",
    sizes: str = "250,1000,4000",
    widths: str = "8,64,512",
    methods: str = ",".join(METHODS),
    repeats: int = 3,
    epochs: int = 40,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    clipnorm: float = 0.0,
    accumulate: int = 1,
    precision: str = "float32",
    test_samples: int = 2000,
    seed: int = 0,
) -> dict[str, float]:
    """Trains every combination on several subsets; a combination that is done is not trained again.

    `clipnorm`, `accumulate` (gradients of so many batches) and `precision` (`mixed_bfloat16`, `mixed_float16`) change
    how all of them are trained. Bias is the error of the answer that most subsets give, variance how often one subset
    answers otherwise (Domingos).
    """
    configuration = dict(locals())
    recipes.check_positive(repeats=repeats, epochs=epochs, batch_size=batch_size, accumulate=accumulate)
    chosen = [name.strip() for name in methods.split(",") if name.strip()]
    if unknown := set(chosen) - set(METHODS):
        raise ValueError(f"methods are {', '.join(METHODS)}. Received: {', '.join(sorted(unknown))}")
    keras.config.set_dtype_policy(precision)
    images = kzoo.data.load(data, seed=seed).take({"test": test_samples}, seed)
    engine = keras.config.backend()
    run = Run("overfitting", f"{images.name}-{engine}", configuration)
    rows, table = [], Table("method", "width", "images", "training error", "test error", "bias", "variance")
    for method in chosen:
        for width in (int(w) for w in widths.split(",")):
            for size in (int(s) for s in sizes.split(",")):
                compute = functools.partial(train, method, width, size, images, configuration)
                row = run.once(f"{method} {width} {size}", compute)
                errors = [
                    f"{np.mean(row[key]):.1%}" for key in ("train_error", "test_error", "bias", "variance")
                ]
                table.add_row(method, str(width), f"{size:,}", *errors)
                rows.append(row)
        Console().print(f"{method}: done")
    Console().print(table)
    plots.generalisation(
        rows, run.path("generalisation.png"), title=f"{images.name}, {repeats} subsets ({engine})"
    )
    largest = max(row["size"] for row in rows), max(row["width"] for row in rows)
    figures = {
        f"{row['method']}_accuracy": 1 - float(np.mean(row["test_error"]))
        for row in rows
        if (row["size"], row["width"]) == largest
    }
    figures["best_accuracy"] = max(figures.values())
    parameters = network(largest[1], "none", images.image_shape, images.num_classes).count_params()
    run.finish(figures=figures, model=f"mlp, {largest[1]} wide", data=images.name, parameters=parameters)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
