"""A convolutional network by hand: NumPy alone reads handwritten digits.

Task       tell the digit in a picture of 8 by 8 pixels; convolution, pooling and normalisation are `kzoo.scratch`
Data       scikit-learn's digits: 1,294 to learn from, 144 to validate, 359 to be tested on
Paper      LeCun et al. (1989), Backpropagation applied to handwritten zip code recognition; batch normalisation:
           Ioffe and Szegedy (2015), arXiv:1502.03167; He initialisation: arXiv:1502.01852
Command    kzoo run cnn_by_hand
Score      digits, numpy: test accuracy 98.89% in 0.2 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import math

import numpy as np
from rich.console import Console

import kzoo
from kzoo import plots, recipes
from kzoo.runs import Run
from kzoo.scratch import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPooling2D,
    Sequential,
    count_parameters,
    losses,
    optimizers,
    train,
)
from kzoo.scratch.activations import relu
from kzoo.scratch.initializers import he_normal


def network(image_shape, filters, num_classes, dropout, generator):
    """Two blocks of two convolutions each, halved by pooling, and one dense layer."""
    layers, dim = [], image_shape[-1]
    for width in (filters, 2 * filters):
        for _ in range(2):
            convolution = Conv2D(
                dim, width, 3, padding="same", use_bias=False, kernel_initializer=he_normal, seed=generator
            )
            layers += [convolution, BatchNormalization(width, momentum=0.9), Activation(relu)]
            dim = width
        layers += [MaxPooling2D(2), Dropout(dropout, seed=generator)]
    size = dim * (image_shape[0] // 4) * (image_shape[1] // 4)
    return Sequential([*layers, Flatten(), Dense(size, num_classes, seed=generator)])


def main(
    data: str = "digits",
    filters: int = 16,
    dropout: float = 0.25,
    epochs: int = 40,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains by AdamW; the learning rate falls to zero by half a cosine.

    `data` is a name that `kzoo list` shows, `filters` the width of the first block, `samples` cuts each part.
    """
    configuration = dict(locals())
    recipes.check_positive(
        filters=filters, epochs=epochs, batch_size=batch_size, samples=samples, learning_rate=learning_rate
    )
    images = kzoo.data.load(data, seed=seed).take(samples, seed)
    run, console = Run("cnn_by_hand", f"{images.name}-numpy", configuration, engine="numpy"), Console()
    (x, y), (x_held, y_held), (x_test, y_test) = (
        (x.astype("float32") / 255, y) for x, y in (images.train, images.validation, images.test)
    )
    generator = np.random.default_rng(seed)
    model = network(images.image_shape, filters, images.num_classes, dropout, generator).astype("float32")

    history = {"loss": [], "val_accuracy": []}
    for loss in train(
        model,
        x,
        y,
        loss=losses.sparse_categorical_crossentropy,
        optimizer=optimizers.AdamW(learning_rate, weight_decay=0.01),
        **dict(epochs=epochs, batch_size=batch_size, seed=seed),
        schedule=lambda done: learning_rate * 0.5 * (1 + math.cos(math.pi * done)),
    ):
        accuracy = float(np.mean(model.predict(x_held).argmax(-1) == y_held))
        history["loss"].append(loss)
        history["val_accuracy"].append(accuracy)
        done = len(history["loss"])
        console.print(f"epoch {done}/{epochs}  loss {loss:.4f}  validation accuracy {accuracy:.2%}")
    scores = model.predict(x_test)
    figures = {
        "test_accuracy": float(np.mean(scores.argmax(-1) == y_test)),
        "validation_accuracy": history["val_accuracy"][-1],
        "loss": history["loss"][-1],
        "seconds": round(run.seconds, 1),
    }
    plots.curves(history, run.path("curves.png"), title=f"A CNN by hand on {images.name}")
    matrix = np.zeros((images.num_classes,) * 2, "int64")
    np.add.at(matrix, (y_test, scores.argmax(-1)), 1)
    plots.confusion(
        matrix, images.labels, run.path("confusion.png"), title=f"Test, {figures['test_accuracy']:.1%} right"
    )
    run.finish(figures=figures, model="cnn", data=images.name, parameters=count_parameters(model))
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
