"""Autoencoders beside principal components: the same images through as narrow a code, four ways.

Task       rebuild images from a few numbers each; the yardstick is the best that a linear map can do
Data       `mnist`, `fashion_mnist` or another data set of small images that `kzoo list` shows
Paper      Hinton and Salakhutdinov (2006), Science 313; Vincent et al. (2008), denoising; Ng (2011), sparse codes
Command    kzoo run autoencoders --backend torch
Score      MNIST through 32 numbers, squared error, torch: pca error 0.0168, dense error 0.0080, convolutional error
           0.0043, denoising error 0.0055, sparse error 0.0184, pca denoising error 0.0205, denoising denoising
           error 0.0077 in 7.1 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import functools

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import Preprocessing
from kzoo.engine import require, unknown
from kzoo.runs import Run

KINDS = {
    "dense": dict(model="autoencoder_dense"),
    "convolutional": dict(model="autoencoder"),
    "denoising": dict(model="autoencoder", noise=0.3),
    "sparse": dict(model="autoencoder", sparsity=2.5e-3),
}


def error(images, rebuilt):
    """Mean squared error of a pixel."""
    return float(np.mean(np.square(images - rebuilt, dtype="float64")))


def noisy(images, seed):
    """Images with normal noise, as the denoising one is trained for."""
    noise = np.random.default_rng(seed).normal(0, KINDS["denoising"]["noise"], images.shape)
    return (images + noise).astype("float32")


def train(kind, x, configuration, run):
    """One autoencoder; the path of its file. Cross-entropy cannot saturate at black, as squared error may."""
    kzoo.set_seed(configuration["seed"])
    arguments = dict(KINDS[kind])
    network = kzoo.create_model(
        arguments.pop("model"), image_shape=x.shape[1:], latent_dim=configuration["latent_dim"], **arguments
    )
    kzoo.accelerate(network)
    epochs, batch_size = configuration["epochs"], configuration["batch_size"]
    steps = epochs * -(-len(x) // batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(configuration["learning_rate"], steps, alpha=0.05)
    network.compile(keras.optimizers.Adam(schedule), "binary_crossentropy")
    resume = Resume(run.path(f"resume-{kind}"), configuration=configuration)
    network.fit(
        x,
        x,
        batch_size,
        epochs=epochs,
        callbacks=[resume, run.log],
        verbose=recipes.verbosity(),
        shuffle=True,
    )
    path = run.path(f"{kind}.keras")
    network.save(path)
    return {"file": path.name, "loss": resume.history["loss"]}


def main(
    data: str = "mnist",
    kinds: str = "dense,convolutional,denoising,sparse",
    latent_dim: int = 32,
    epochs: int = 8,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains each kind of autoencoder; what is done is not done again when the command is repeated."""
    configuration = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, latent_dim=latent_dim, samples=samples)
    names = [kind.strip() for kind in kinds.split(",")]
    for kind in names:
        if kind not in KINDS:
            raise unknown("kind of autoencoder", kind, KINDS)
    images = kzoo.data.load(data, seed=seed, validation=0).take(samples, seed)
    engine = keras.config.backend()
    run = Run("autoencoders", f"{images.name}-{latent_dim}-{engine}", configuration)
    prepare = Preprocessing(images.image_shape)  # between 0 and 1
    x, x_test = prepare(images.train[0]), prepare(images.test[0])
    spoilt = noisy(x_test, seed)

    components = require("sklearn.decomposition", "recipes").PCA(latent_dim, random_state=seed)
    components.fit(x.reshape(len(x), -1))

    def projected(images):
        return components.inverse_transform(components.transform(images.reshape(len(images), -1))).reshape(
            images.shape
        )

    rebuilt = {"pca": projected(x_test)}
    cleaned, figures = {"pca": projected(spoilt)}, {}
    histories = {}
    for kind in names:
        trained = run.once(kind, functools.partial(train, kind, x, configuration, run))
        network = keras.models.load_model(run.path(trained["file"]))
        histories[kind] = trained["loss"]
        rebuilt[kind] = network.predict(x_test, batch_size=250, verbose=0)
        cleaned[kind] = network.predict(spoilt, batch_size=250, verbose=0)
        if kind == "sparse":
            codes = network.get_layer("encoder").predict(x_test, batch_size=250, verbose=0)
            figures["sparse_codes_at_zero"] = float(np.mean(codes == 0))

    table = Table("", "error", "of noisy images", title=f"{images.name}, {latent_dim} numbers an image")
    for kind in rebuilt:
        figures[f"{kind}_error"] = error(x_test, rebuilt[kind])
        figures[f"{kind}_denoising_error"] = error(x_test, cleaned[kind])
        table.add_row(kind, f"{figures[f'{kind}_error']:.5f}", f"{figures[f'{kind}_denoising_error']:.5f}")
    Console().print(table)
    figures["seconds"] = round(run.seconds, 1)
    title = f"{images.name} through {latent_dim} numbers ({engine})"
    for name, first, results in (("rebuilt", x_test, rebuilt), ("cleaned", spoilt, cleaned)):
        sheet = np.concatenate([first[:10], *(result[:10] for result in results.values())])
        plots.mosaic(sheet, run.path(f"{name}.png"), 10, ["given", *results], title=title)
    plots.curves(
        {f"{kind}_loss": values for kind, values in histories.items()}, run.path("curves.png"), title=title
    )
    run.finish(figures=figures, model=",".join(names), data=images.name)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
