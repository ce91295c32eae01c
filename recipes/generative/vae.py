"""Variational autoencoder: images from a normal, a map of a code's plane, and walks between images.

Task       learn what images are likely, and draw new ones; with `--conditional` of the class that is asked for
Data       `mnist`, `fashion_mnist` or another data set of small images that `kzoo list` shows
Paper      Kingma and Welling (2014), arXiv:1312.6114: -log p(x) of binary MNIST below 98 nats with 20 latent numbers,
           figure 2; gray values as here cost some nats more
Command    kzoo run vae --backend torch
           kzoo run vae --backend torch --data fashion_mnist --conditional --beta 4
Score      MNIST, nats a test image, torch: test elbo -98.29, test reconstruction 74.94, test kl 23.35 in 8.7 min*
           MNIST, a plane of codes, nats a test image, torch: test elbo -156.9, test reconstruction 151.1, test kl
           5.7587 in 2.1 min*
           Fashion-MNIST of classes, nats a test image, torch: test elbo -236.9, test reconstruction 225.9, test kl
           11.03 in 8.2 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import keras
import numpy as np

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import Batches, Preprocessing
from kzoo.learners import VariationalAutoencoder
from kzoo.runs import Run

STEPS = 10  # of a walk


def walks(learner, x, y, count=6):
    """Images on the straight lines between the codes of pairs of images."""
    labels = y if learner.num_classes else None
    mean, _ = learner.encode(x, labels)
    shares = np.linspace(0, 1, STEPS)[:, None]
    lines = [(1 - shares) * mean[2 * i] + shares * mean[2 * i + 1] for i in range(count)]
    ends = None if labels is None else np.repeat(labels[: 2 * count : 2], STEPS)
    return learner.decode(np.concatenate(lines), ends)


def plane(learner, side=16):
    """Images of a square of the code's plane, even in probability: figure 4 of the paper."""
    from statistics import NormalDist

    places = [NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)]
    codes = np.array([[x, y] for y in reversed(places) for x in places], "float32")
    labels = np.zeros(len(codes), "int32") if learner.num_classes else None
    return learner.decode(codes, labels)


def draw(learner, x, y, labels, run, said):
    """Reconstructions, walks, samples, and where the code is a plane, its map."""
    classes = y if learner.num_classes else None
    rebuilt = learner.reconstruct(x[:10], None if classes is None else classes[:10])
    pairs = np.concatenate([x[:10], rebuilt])
    plots.mosaic(pairs, run.path("reconstructions.png"), 10, ["test", "rebuilt"], title=said)
    plots.mosaic(
        walks(learner, x[:12], y[:12]), run.path("walks.png"), STEPS, title="From one image to another"
    )
    if learner.num_classes:
        asked = np.repeat(np.arange(learner.num_classes), 10)
        plots.mosaic(learner.sample(len(asked), asked), run.path("samples.png"), 10, labels, title="By class")
    else:
        plots.mosaic(learner.sample(100), run.path("samples.png"), 10, title="Drawn from a normal")
    points, _ = learner.encode(x, classes)
    if points.shape[1] == 2:
        plots.embedding(points, y, labels, run.path("codes.png"), "Codes of the test images")
        plots.mosaic(plane(learner), run.path("plane.png"), 16, title="The plane of codes", scale=0.4)


def main(
    data: str = "mnist",
    model: str = "vae",
    latent_dim: int = 20,
    conditional: bool = False,
    beta: float = 1.0,
    likelihood: str = "bernoulli",
    epochs: int = 15,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains a VAE on the evidence lower bound and draws what it has learned.

    `beta` weighs the divergence from the normal; `--latent-dim 2` draws a map. Figures are nats for each test image.
    """
    configuration = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, samples=samples)
    kzoo.set_seed(seed)
    images = kzoo.data.load(data, seed=seed).take(samples, seed)
    engine = keras.config.backend()
    kind = f"{model}{latent_dim}" + "-conditional" * conditional + (f"-beta{beta:g}" if beta != 1 else "")
    run = Run("vae", f"{images.name}-{kind}-{engine}", configuration)

    preprocessing = Preprocessing(images.image_shape)  # between 0 and 1
    common = dict(preprocess=preprocessing, num_classes=images.num_classes)
    train = Batches(*images.train, batch_size, seed=seed, **common)
    validation, test = (
        Batches(*part, batch_size, shuffle=False, **common) for part in (images.validation, images.test)
    )
    network = kzoo.create_model(
        model,
        image_shape=images.image_shape,
        num_classes=images.num_classes if conditional else 0,
        latent_dim=latent_dim,
    )
    kzoo.accelerate(network)
    learner = VariationalAutoencoder(network, beta, likelihood, seed=seed)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * len(train), alpha=0.05)
    learner.compile(keras.optimizers.Adam(schedule))
    resume = Resume(run.path("resume"), data=train, configuration=configuration)
    learner.fit(
        train,
        epochs=epochs,
        validation_data=validation,
        callbacks=[resume, run.log],
        verbose=recipes.verbosity(),
    )

    found = learner.evaluate(test, verbose=0, return_dict=True)
    figures = {f"test_{name}": float(found[name]) for name in ("elbo", "reconstruction", "kl")}
    figures |= {"epochs": len(resume.history["loss"]), "seconds": round(run.seconds, 1)}
    run.save(
        learner,
        figures=figures,
        history=resume.history,
        model=model,
        data=images.name,
        labels=list(images.labels),
        preprocessing=preprocessing.to_dict(),
        outputs="images",
    )
    shown = images.take({"test": 2000}, seed).test
    said = f"{model} on {images.name}: {figures['test_elbo']:.1f} nats ({engine})"
    draw(learner, preprocessing(shown[0]), shown[1], images.labels, run, said)
    plots.curves(resume.history, run.path("curves.png"), title=said)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
