"""VQ-VAE: images as a few whole numbers each, and a language model that writes such numbers.

Task       rebuild images from codes of a small codebook, then draw new ones through a prior over codes
Data       `mnist`, `fashion_mnist` or another data set of small images that `kzoo list` shows
Paper      van den Oord et al. (2017), arXiv:1711.00937; the prior there is a PixelCNN, here a small GPT
Command    kzoo run vq_vae --backend torch
Score      MNIST as 49 codes of 128, torch: test error 0.0027, codebook perplexity 81.66, codes used 128, prior loss
           2.1621 in 40.9 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import functools

import keras
import numpy as np

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import Batches, Preprocessing
from kzoo.layers import VectorQuantizerEMA
from kzoo.models.generative.vq_vae import codes_of, images_of
from kzoo.runs import Run


class Perplexity(keras.callbacks.Callback):
    """Adds to the logs how many codes were effectively in use in the last batch."""

    def on_epoch_end(self, epoch, logs=None):
        logs["codes_in_use"] = float(self.model.get_layer("codes").perplexity)


def train_prior(codes, num_codes, configuration, run):
    """A small GPT of codes, row by row, after a symbol of its own: the number after the last code."""
    rows = codes.reshape(len(codes), -1)
    tokens = np.concatenate([np.full((len(rows), 1), num_codes, "int32"), rows], axis=1)
    prior = kzoo.create_model(
        "nanogpt_small",
        vocabulary_size=num_codes + 1,
        max_sequence_length=rows.shape[1],
        dim=configuration["prior_dim"],
        depth=configuration["prior_depth"],
        num_heads=4,
    )
    kzoo.accelerate(prior)
    batches = Batches(tokens[:, :-1], tokens[:, 1:], configuration["batch_size"], seed=configuration["seed"])
    epochs = configuration["prior_epochs"]
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(batches), alpha=0.05)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    prior.compile(keras.optimizers.AdamW(schedule, weight_decay=0.01, global_clipnorm=1.0), loss)
    resume = Resume(run.path("resume-prior"), data=batches, configuration=configuration)
    prior.fit(batches, epochs=epochs, callbacks=[resume, run.log], verbose=recipes.verbosity())
    prior.save(run.path("prior.keras"))
    return prior, resume.history


def written(prior, count, shape, num_codes, seed):
    """Maps of codes that the prior writes, `(count, p, q)`."""
    length = shape[0] * shape[1]
    prompts = [np.array([num_codes], "int32")] * count
    rows = np.stack(kzoo.generate(prior, prompts, length, temperature=1.0, seed=seed))
    return np.minimum(rows, num_codes - 1).reshape(count, *shape)  # never the first symbol again


def main(
    data: str = "mnist",
    model: str = "vq_vae_small",
    num_codes: int = 128,
    epochs: int = 10,
    prior_epochs: int = 6,
    prior_dim: int = 64,
    prior_depth: int = 3,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    drawn: int = 100,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains the autoencoder, then the prior of its codes, and draws `drawn` images through both."""
    configuration = dict(locals())
    recipes.check_positive(epochs=epochs, prior_epochs=prior_epochs, batch_size=batch_size, samples=samples)
    kzoo.set_seed(seed)
    images = kzoo.data.load(data, seed=seed, validation=0).take(samples, seed)
    engine = keras.config.backend()
    run = Run("vq_vae", f"{images.name}-{num_codes}-{engine}", configuration)
    prepare = Preprocessing(images.image_shape)  # between 0 and 1
    x, x_test = prepare(images.train[0]), prepare(images.test[0])

    quantizer = functools.partial(VectorQuantizerEMA, restart_below=1.0, seed=seed)
    network = kzoo.create_model(
        model, image_shape=images.image_shape, num_codes=num_codes, quantizer=quantizer
    )
    kzoo.accelerate(network)
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate, epochs * -(-len(x) // batch_size), alpha=0.05
    )
    # Both losses count alike where an image's is a share of what its mean leaves to explain. Squared error would let
    # the sigmoid saturate at black in the first steps, and stay there.
    mean = x.mean(dtype="float64")
    unexplained = -mean * np.log(mean) - (1 - mean) * np.log(1 - mean)
    weights = dict(loss_weights=float(1 / unexplained))
    network.compile(keras.optimizers.Adam(schedule), "binary_crossentropy", **weights)
    resume = Resume(run.path("resume"), configuration=configuration, keep=True)  # the prior comes after it
    network.fit(
        x,
        x,
        batch_size,
        epochs=epochs,
        callbacks=[Perplexity(), resume, run.log],
        verbose=recipes.verbosity(),
    )

    codes = codes_of(network, x)
    test_codes = codes_of(network, x_test)
    rebuilt = images_of(network, test_codes)
    prior, prior_history = train_prior(codes, num_codes, configuration, run)
    shares = np.bincount(test_codes.ravel(), minlength=num_codes) / test_codes.size
    figures = {
        "test_error": float(np.mean(np.square(rebuilt - x_test, dtype="float64"))),
        "codebook_perplexity": float(
            np.exp(-shares @ np.log(np.maximum(shares, 1e-12)))
        ),  # of the test images
        "codes_used": int(np.sum(shares > 0)),
        "bits_per_image": float(np.log2(num_codes) * codes[0].size),
        "prior_loss": float(prior_history["loss"][-1]),  # nats a code
        "seconds": round(run.seconds, 1),
    }
    told = dict(model=model, data=images.name, labels=list(images.labels), outputs="images")
    history = {**resume.history, **{f"prior_{name}": values for name, values in prior_history.items()}}
    run.save(network, figures=figures, history=history, preprocessing=prepare.to_dict(), **told)
    resume.clear()

    title = f"{images.name} as {codes[0].size} codes of {num_codes} ({engine})"
    pairs = np.concatenate([x_test[:10], rebuilt[:10]])
    plots.mosaic(pairs, run.path("reconstructions.png"), 10, ["test", "rebuilt"], title=title)
    maps = written(prior, drawn, codes.shape[1:], num_codes, seed)
    plots.mosaic(images_of(network, maps), run.path("samples.png"), 10, title="Written by the prior")
    chance = np.random.default_rng(seed).integers(0, num_codes, (10, *codes.shape[1:]))
    plots.mosaic(images_of(network, chance), run.path("chance.png"), 10, title="Codes by chance")
    plots.curves(history, run.path("curves.png"), title=title)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
