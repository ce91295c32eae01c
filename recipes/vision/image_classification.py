"""Image classification: any classifier of the catalog on any image data set.

Task       tell the class of an image
Data       a name that `kzoo list` shows (`digits` is the default), or a folder with one sub-folder of images per class
Paper      Xiao et al. (2017), Fashion-MNIST, arXiv:1708.07747: networks of two convolutions reach 91.6 to 93.4 %
           AdamW: arXiv:1711.05101; cosine decay: arXiv:1608.03983
Command    kzoo run image_classification --backend jax
           and for Fashion-MNIST, on one line: kzoo run image_classification --backend jax --data fashion_mnist
           --epochs 12 --batch-size 64 --learning-rate 0.002 --dropout 0.25 --flip
Score      digits, jax: test accuracy 98.61% in 0.2 min*
           Fashion-MNIST, tensorflow: test accuracy 92.78% in 50.3 min*
           Fashion-MNIST, torch: test accuracy 92.62% in 19.3 min*
           Fashion-MNIST, jax: test accuracy 92.60% in 15.5 min*
           Fashion-MNIST, torch: test accuracy 94.25% in 52.8 min*
           CIFAR-10, JPEG, torch: test accuracy 88.00% in 103.5 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import functools

import keras
import numpy as np

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import Batches, Preprocessing, augment
from kzoo.runs import Run

OPTIMIZERS = {
    "adamw": keras.optimizers.AdamW,
    "sgd": functools.partial(keras.optimizers.SGD, momentum=0.9, nesterov=True),
}


def main(
    data: str = "digits",
    model: str = "cnn",
    epochs: int = 60,
    batch_size: int = 32,
    optimizer: str = "adamw",
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    dropout: float = 0.4,
    shift: int = 0,
    flip: bool = False,
    accelerate: bool = True,
    samples: int | None = None,
    seed: int = 0,
    on_corrupt: str = "error",
) -> dict[str, float]:
    """Trains a classifier and leaves it, its card and its pictures in the run folder.

    `shift` and `flip` augment: random shifts by that many pixels, random mirroring. `samples` cuts each part of the
    data. The learning rate warms up for a twentieth of the steps and decays by a cosine. `optimizer` is `adamw`, or
    `sgd` with Nesterov's momentum; both also shrink each weight by `weight_decay` times the rate.
    """
    configuration = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, samples=samples)
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {sorted(OPTIMIZERS)}. Received: optimizer={optimizer!r}")
    kzoo.set_seed(seed)
    images = kzoo.data.load(data, seed=seed, on_corrupt=on_corrupt)
    if samples is not None:
        images = images.take(samples, seed)
    (x, y), (x_test, y_test) = images.train, images.test
    engine = keras.config.backend()
    run = Run("image_classification", f"{images.name}-{model}-{engine}", configuration)

    preprocessing = Preprocessing.fit(x)
    train = Batches(
        x,
        y,
        batch_size,
        seed=seed,
        drop_last=len(x) > batch_size,
        preprocess=preprocessing,
        augment=augment.shift_flip(shift, flip) if shift or flip else None,
        num_classes=images.num_classes,
    )
    validation = Batches(*images.validation, batch_size, shuffle=False, preprocess=preprocessing)
    test = Batches(x_test, y_test, batch_size, shuffle=False, preprocess=preprocessing)

    classifier = kzoo.create_model(
        model, image_shape=images.image_shape, num_classes=images.num_classes, dropout=dropout
    )
    if accelerate:
        kzoo.accelerate(classifier)
    steps = epochs * len(train)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 20, warmup_target=learning_rate, warmup_steps=steps // 20
    )
    classifier.compile(
        OPTIMIZERS[optimizer](schedule, weight_decay=weight_decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    resume = Resume(run.path("resume"), data=train, configuration=configuration)
    classifier.fit(
        train,
        epochs=epochs,
        validation_data=validation,
        callbacks=[resume, run.log],
        verbose=recipes.verbosity(),
    )

    scores = classifier.predict(test, verbose=0)
    predicted = np.argmax(scores, axis=-1)
    figures = {
        "test_accuracy": float(np.mean(predicted == y_test)),
        "validation_accuracy": resume.history["val_accuracy"][-1],
        "epochs": len(resume.history["loss"]),
        "seconds": round(run.seconds, 1),
    }
    run.save(
        classifier,
        figures=figures,
        history=resume.history,
        model=model,
        data=images.name,
        labels=list(images.labels),
        preprocessing=preprocessing.to_dict(),
        outputs="logits",
    )
    plots.curves(resume.history, run.path("curves.png"), title=f"{model} on {images.name} ({engine})")
    matrix = np.zeros((images.num_classes,) * 2, dtype="int64")
    np.add.at(matrix, (y_test, predicted), 1)
    plots.confusion(
        matrix, images.labels, run.path("confusion.png"), title=f"Test, {figures['test_accuracy']:.1%} right"
    )
    plots.predictions(x_test[:24], y_test[:24], scores[:24], images.labels, run.path("predictions.png"))
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
