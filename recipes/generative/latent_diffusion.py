"""Latent diffusion: a VAE learns codes of images, and diffusion learns which codes there are.

Task       draw images of a class by diffusion in the codes of a VAE; how much better are they than the VAE's own?
Data       `mnist`, `fashion_mnist`, `digits` or another data set of small images that `kzoo list` shows
Paper      Rombach et al. (2022), High-Resolution Image Synthesis with Latent Diffusion Models, arXiv:2112.10752
Command    kzoo run latent_diffusion --backend jax --data mnist
Score      MNIST, in the codes of a VAE, torch: agreement 0.9995, fid 36.33, vae fid 250.5, recall 0.4650, vae
           recall 0.3195 in 16.9 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import keras
import numpy as np

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import Batches, Preprocessing
from kzoo.judge import Judge
from kzoo.learners import Diffusion, LatentSpace, VariationalAutoencoder
from kzoo.runs import Run


def main(
    data: str = "mnist",
    latent_dim: int = 64,
    beta: float = 0.2,
    vae_epochs: int = 5,
    epochs: int = 8,
    filters: int = 64,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    steps: int = 50,
    guidance: float = 2.0,
    judged: int = 2000,
    judge_epochs: int = 3,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains a VAE without classes, then a conditional U-Net on its codes, laid out as maps of 4 x 4.

    `beta` below 1 leaves more of the images in the codes, whose distribution is learnt afterwards. Drawn images are
    judged by a classifier (see `kzoo.judge`) beside those of the VAE alone, which knows no classes.
    """
    configuration = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, samples=samples)
    if latent_dim % 16:
        raise ValueError(f"codes must fill maps of 4 x 4. Received: latent_dim={latent_dim}")
    kzoo.set_seed(seed)
    images = kzoo.data.load(data, seed=seed).take(samples, seed)
    engine = keras.config.backend()
    run = Run("latent_diffusion", f"{images.name}-{engine}", configuration)
    preprocessing = Preprocessing(images.image_shape)
    train = Batches(*images.train, batch_size, seed=seed, drop_last=True, preprocess=preprocessing)

    def fit(learner, rate, epochs, name):
        """Trains, or takes what was trained before the run was interrupted."""
        path = run.path(f"{name}.weights.h5")
        history = run.once(name, lambda: trained(learner, rate, epochs, name, path))
        learner.load_weights(path)
        return history

    def trained(learner, rate, epochs, name, path):
        schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * len(train), 0.05)
        learner.compile(keras.optimizers.Adam(schedule))
        resume = Resume(run.path(f"resume-{name}"), data=train, configuration=configuration)
        learner.fit(train, epochs=epochs, callbacks=[resume, run.log], verbose=recipes.verbosity())
        learner.save_weights(path)
        return resume.history

    model = kzoo.create_model("vae", image_shape=images.image_shape, num_classes=0, latent_dim=latent_dim)
    kzoo.accelerate(model)
    vae = VariationalAutoencoder(model, beta=beta, seed=seed)
    fit(vae, learning_rate, vae_epochs, "vae")
    seen = preprocessing(images.train[0][:2000])
    space = LatentSpace.of(model, seen, code_shape=(4, 4, latent_dim // 16))
    unet = kzoo.create_model(
        "diffusion_unet_small",
        image_shape=space.code_shape,
        num_classes=images.num_classes,
        filters=filters,
        patch_size=1,
    )
    kzoo.accelerate(unet)
    learner = Diffusion(unet, latents=space, seed=seed)
    history = fit(learner, learning_rate, epochs, "diffusion")

    judge = Judge.trained(images, run.folder, epochs=judge_epochs, seed=seed)
    x, y = images.test
    x, y = preprocessing(x[:judged]), y[:judged]
    drawn = learner.sample(len(y), y, steps=steps, guidance=guidance, seed=seed, batch_size=256)
    of_prior = vae.sample(len(y), seed=seed)
    figures = {
        "agreement": judge.agreement(drawn, y),
        **judge.compare(x, drawn),
        **{f"vae_{name}": value for name, value in judge.compare(x, of_prior).items()},
        "rebuilt_agreement": judge.agreement(vae.reconstruct(x), y),
        "loss": history["loss"][-1],
        "seconds": round(run.seconds, 1),
    }
    each = np.repeat(np.arange(images.num_classes), 10)
    sheet = learner.sample(len(each), each, steps=steps, guidance=guidance, seed=1)
    captions = [images.labels[k] for k in each]
    plots.sheet(sheet, run.path("samples.png"), captions, "Diffusion in the codes of a VAE", 10)
    plots.sheet(vae.sample(40, seed=1), run.path("vae.png"), (), "The VAE alone", 10)
    plots.curves(history, run.path("curves.png"), title=f"codes of {images.name} ({engine})")
    run.save(
        learner,
        figures=figures,
        history=history,
        model="diffusion_unet_small",
        data=images.name,
        labels=list(images.labels),
        preprocessing=preprocessing.to_dict(),
        outputs="velocity",
    )
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
