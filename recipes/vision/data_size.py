"""Convolution or attention, by how much data there is: the same training for each at several sizes, one figure.

Task       see what an inductive bias is worth: a residual network knows that neighbours belong together, a transformer
           has to learn it
Data       a name that `kzoo list` shows (`fashion_mnist`) or a folder of images by class; nested training subsets
Paper      Dosovitskiy et al. (2021), arXiv:2010.11929, figures 3 and 4; for small data sets: Steiner et al. (2021),
           arXiv:2106.10270
Command    kzoo run data_size --backend jax
Score      Fashion-MNIST, convolution or attention, torch: resnet20 500 accuracy 80.20%, vit tiny patch16 500
           accuracy 74.69%, resnet20 32000 accuracy 89.08%, vit tiny patch16 32000 accuracy 79.81% in 82.9 min*
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
from kzoo.data import Batches, Preprocessing, augment
from kzoo.models import catalog
from kzoo.runs import Run

# A transformer of the size of the residual network, with patches that suit small images.
SMALLER = {"vit": dict(dim=96, depth=6, num_heads=3)}


def network(name, images):
    """A model of the catalog for small images."""
    arguments = catalog.small_image_arguments(name) | SMALLER.get(catalog.family_of(name), {})
    shape = dict(image_shape=images.image_shape, num_classes=images.num_classes)
    return kzoo.create_model(name, **shape, **arguments)


def train(name, size, repeat, images, configuration, run):
    """One training; the accuracy on the test images. Every size takes the same number of steps."""
    seed = configuration["seed"] + repeat
    kzoo.set_seed(seed)
    x, y = images.take({"train": size}, seed).train
    prepare = Preprocessing.fit(x)
    change = augment.shift_flip(configuration["shift"], configuration["flip"])
    batch_size = min(configuration["batch_size"], len(x))
    batches = Batches(x, y, batch_size, seed=seed, drop_last=True, preprocess=prepare, augment=change)
    epochs = -(-configuration["steps"] // len(batches))
    model = network(name, images)
    kzoo.accelerate(model)
    steps, rate = epochs * len(batches), configuration["learning_rate"]
    warm = steps // 10
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm, warmup_target=rate, warmup_steps=warm
    )
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=0.05, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    resume = Resume(run.path(f"resume-{name}-{size}-{repeat}"), data=batches, configuration=configuration)
    model.fit(batches, epochs=epochs, callbacks=[resume, run.log], verbose=recipes.verbosity())
    test = Batches(*images.test, 250, shuffle=False, preprocess=prepare)
    return float(np.mean(model.predict(test, verbose=0).argmax(-1) == images.test[1]))


def main(
    data: str = "fashion_mnist",
    models: str = "resnet20,vit_tiny_patch16",
    sizes: str = "500,2000,8000,32000",
    repeats: int = 2,
    steps: int = 1500,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    shift: int = 2,
    flip: bool = True,
    test_samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains each model at each size; what is done is not done again when the command is repeated."""
    configuration = dict(locals())
    recipes.check_positive(repeats=repeats, steps=steps, batch_size=batch_size, learning_rate=learning_rate)
    names = [name.strip() for name in models.split(",")]
    counts = sorted(int(size) for size in sizes.split(","))
    images = kzoo.data.load(data, seed=seed).take({"test": test_samples}, seed)
    parameters = {name: network(name, images).count_params() for name in names}
    engine = keras.config.backend()
    run = Run("data_size", f"{images.name}-{engine}", configuration)

    def trained(name, size, repeat):
        work = functools.partial(train, name, size, repeat, images, configuration, run)
        return run.once(f"{name} {size} {repeat}", work)

    found = {
        name: [[trained(name, size, repeat) for size in counts] for repeat in range(repeats)]
        for name in names
    }
    table = Table("training images", *(f"{name} ({parameters[name]:,})" for name in names), title=images.name)
    figures = {}
    for i, size in enumerate(counts):
        own = {name: np.array([row[i] for row in found[name]]) for name in names}
        figures |= {f"{name}_{size}_accuracy": float(values.mean()) for name, values in own.items()}
        table.add_row(f"{size:,}", *(f"{v.mean():.2%} ± {v.std():.2%}" for v in own.values()))
    Console().print(table)
    plots.bands(
        found,
        run.path("accuracy.png"),
        title=f"{images.name}: {steps:,} steps at every size ({engine})",
        x="training images",
        y="test accuracy",
        steps=counts,
        log=True,
    )
    run.finish(figures=figures, model=",".join(names), data=images.name, parameters=max(parameters.values()))
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
