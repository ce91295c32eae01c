"""Capsules: a class's vector says by its length whether it is there, and paints the image again by its direction.

Task       classify images and rebuild them from the winning capsule
Data       `mnist`, `fashion_mnist` or another data set of small images that `kzoo list` shows
Paper      Sabour, Frosst and Hinton (2017), Dynamic Routing Between Capsules, arXiv:1710.09829: 99.75 % on MNIST with
           8.2 million weights; Fashion-MNIST 93.6 % (zalandoresearch/fashion-mnist)
Command    kzoo run capsules --backend torch --data mnist
           kzoo run capsules --backend torch --data fashion_mnist --flip --shift 1 --learning-rate 0.002 --decay 0.94
           with --kernel-size 5 --epochs 40
Score      MNIST, torch: test accuracy 99.41% in 25.6 min*
           Fashion-MNIST, torch: test accuracy 92.39% in 87.1 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import keras
import numpy as np

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import Batches, Preprocessing, augment
from kzoo.learners import CapsuleNetwork
from kzoo.runs import Run

STEPS = np.linspace(-0.25, 0.25, 11)  # section 5.1 of the paper


def painted(model, capsules, classes):
    """What the decoder paints of one capsule of each image, the others silenced: `(b, j, e)` to `(b, h, w, c)`."""
    one = np.zeros_like(capsules)
    rows = np.arange(len(capsules))
    one[rows, classes] = capsules[rows, classes]
    return model.get_layer("decoder").predict(one.reshape(len(one), -1), verbose=0)


def draw(learner, x, y, labels, run):
    """Test images above their reconstructions, and one image as each dimension of its capsule is moved."""
    capsules = learner.encoder.predict(x, verbose=0)
    n, (_, _, dim) = len(x), capsules.shape
    pairs = np.concatenate([x, painted(learner.model, capsules, y)])
    captions = [labels[i] for i in y] + ["rebuilt"] * n
    plots.sheet(pairs, run.path("reconstructions.png"), captions, "Images and what their capsules paint", n)
    moved = np.repeat(capsules[:1], dim * len(STEPS), axis=0)
    moved = moved.reshape(dim, len(STEPS), *capsules.shape[1:])
    for place in range(dim):
        moved[place, :, y[0], place] += STEPS
    moved = moved.reshape(-1, *capsules.shape[1:])
    pictures = painted(learner.model, moved, np.full(len(moved), y[0]))
    captions = [f"dim {i // len(STEPS)}: {STEPS[i % len(STEPS)]:+.2f}" for i in range(len(moved))]
    title = f"{labels[y[0]]}: one dimension of its capsule moved"
    plots.sheet(pictures, run.path("dimensions.png"), captions, title, len(STEPS))


def main(
    data: str = "mnist",
    model: str = "capsnet_small",
    epochs: int = 20,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    decay: float = 0.9,
    reconstruction_weight: float = 0.0005,
    routing: int = 3,
    kernel_size: int = 9,
    shift: int = 2,
    flip: bool = False,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains margin and reconstruction together and draws what the capsules paint.

    `decay` multiplies the learning rate after each epoch; `shift` and `flip` augment. An image's sum of squares counts
    `reconstruction_weight` beside its margin.
    """
    configuration = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, samples=samples)
    kzoo.set_seed(seed)
    images = kzoo.data.load(data, seed=seed).take(samples, seed)
    engine = keras.config.backend()
    run = Run("capsules", f"{images.name}-{model}-{engine}", configuration)

    preprocessing = Preprocessing(images.image_shape)  # between 0 and 1, as the decoder paints
    change = augment.shift_flip(shift, flip) if shift or flip else None
    common = dict(preprocess=preprocessing, num_classes=images.num_classes)
    train = Batches(*images.train, batch_size, seed=seed, augment=change, **common)
    validation, test = (
        Batches(*part, batch_size, shuffle=False, **common) for part in (images.validation, images.test)
    )
    network = kzoo.create_model(
        model,
        image_shape=images.image_shape,
        num_classes=images.num_classes,
        routing=routing,
        kernel_size=kernel_size,
        reconstruction=True,
    )
    learner = CapsuleNetwork(network, reconstruction_weight)
    schedule = keras.optimizers.schedules.ExponentialDecay(learning_rate, len(train), decay)
    learner.compile(keras.optimizers.Adam(schedule))
    resume = Resume(run.path("resume"), data=train, configuration=configuration)
    learner.fit(
        train,
        epochs=epochs,
        validation_data=validation,
        callbacks=[resume, run.log],
        verbose=recipes.verbosity(),
    )

    lengths = learner.predict(test, verbose=0)
    x_test, y_test = images.test
    figures = {
        "test_accuracy": float(np.mean(np.argmax(lengths, axis=-1) == y_test)),
        "reconstruction": float(learner.evaluate(test, verbose=0, return_dict=True)["reconstruction"]),
        "epochs": len(resume.history["loss"]),
        "seconds": round(run.seconds, 1),
    }
    classifier = keras.Model(network.input, network.get_layer("lengths").output, name=model)
    run.save(
        classifier,
        figures=figures,
        history=resume.history,
        model=model,
        data=images.name,
        labels=list(images.labels),
        preprocessing=preprocessing.to_dict(),
        outputs="probabilities",  # each capsule's own: they need not sum to 1
    )
    first = preprocessing(x_test[:10])
    draw(learner, first, y_test[:10], images.labels, run)
    plots.curves(resume.history, run.path("curves.png"), title=f"{model} on {images.name} ({engine})")
    shares = lengths[:24] / lengths[:24].sum(-1, keepdims=True)
    plots.predictions(x_test[:24], y_test[:24], shares, images.labels, run.path("predictions.png"))
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
