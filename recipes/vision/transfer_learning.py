"""Transfer: a network trained on one data set, taken to another with few labels, frozen or fine-tuned.

Task       classify with 10 to 100 images per class: from scratch, with frozen features, or fine-tuned
Data       source and target by name or folder, whole or some classes of each: by default half of CIFAR-10's classes
           and the other half, as Yosinski et al. halve ImageNet's; `blood_cells` is a medical target
Paper      Yosinski et al. (2014), arXiv:1411.1792; stages join one by one: Howard and Ruder, arXiv:1801.06146
Command    kzoo run transfer_learning --backend torch
           kzoo run transfer_learning --backend torch --data blood_cells --classes "" --source-classes ""
Score      half of CIFAR-10's classes to the other, 100 images each, torch: scratch 100 accuracy 56.59%, frozen 100
           accuracy 60.38%, fine tuned 100 accuracy 69.34% in 38.7 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import functools

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import kzoo
from kzoo import plots, recipes, transfer
from kzoo.callbacks import ProgressiveUnfreezing, Resume
from kzoo.data import Batches, Preprocessing, augment
from kzoo.optimizers import LayerwiseLearningRates
from kzoo.runs import Run

METHODS = ("scratch", "frozen", "fine-tuned")
# Stages from the top: how much slower they learn than the head, and after which share of the training they join.
RATES = {"stage_3*": 0.3, "stage_2*": 0.1, "st*": 0.03}
START = {"stage_3*": 0.1, "stage_2*": 0.2, "st*": 0.3}


def network(configuration, images, seed):
    kzoo.set_seed(seed)
    shape = dict(image_shape=images.image_shape, num_classes=images.num_classes)
    return kzoo.create_model(configuration["model"], **shape)


def batches_of(x, y, configuration, seed):
    """Batches for training, and the preprocessing that these images decide."""
    prepare = Preprocessing.fit(x)
    change = augment.shift_flip(configuration["shift"], configuration["flip"])
    size = min(configuration["batch_size"], len(x))
    return Batches(x, y, size, seed=seed, preprocess=prepare, augment=change), prepare


def fit(model, rate, batches, epochs, callbacks, slower=None):
    steps, warm = epochs * len(batches), epochs * len(batches) // 20
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm, warmup_target=rate, warmup_steps=warm
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.05)
    optimizer = LayerwiseLearningRates(optimizer, slower) if slower else optimizer
    kzoo.accelerate(model)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(batches, epochs=epochs, callbacks=callbacks, verbose=recipes.verbosity())


def right(model, images, prepare):
    """Which test images are told right."""
    scores = model.predict(Batches(*images.test, 250, shuffle=False, preprocess=prepare), verbose=0)
    return scores.argmax(-1) == images.test[1]


def pretrain(source, configuration, run):
    """The network on the source, whole; its weights lie in the run folder."""
    epochs, seed = configuration["source_epochs"], configuration["seed"]
    model = network(configuration, source, seed)
    batches, prepare = batches_of(*source.train, configuration, seed)
    resume = Resume(run.path("resume-source"), data=batches, configuration=configuration)
    fit(model, configuration["learning_rate"], batches, epochs, [resume, run.log])
    model.save(run.path("source.keras"))
    return {"source_accuracy": float(np.mean(right(model, source, prepare)))}


def train(method, count, repeat, target, configuration, run):
    """One training on `count` images per class: the mean over classes of the share of its test images told right."""
    seed, epochs = configuration["seed"] + repeat, configuration["epochs"]
    model = network(configuration, target, seed)
    if method != "scratch":
        kzoo.weights.carry_over(keras.models.load_model(run.path("source.keras"), compile=False), model)
        transfer.zero_head(model)
    batches, prepare = batches_of(*target.balanced(count, [seed, count]).train, configuration, seed)
    rate, further = configuration["learning_rate"], ([], None)
    if method == "frozen":
        transfer.freeze(model)
        rate *= 10  # a head alone can take more
    elif method == "fine-tuned":
        transfer.freeze_statistics(model)
        starts = {pattern: round(share * epochs) for pattern, share in START.items()}
        further = [ProgressiveUnfreezing(starts)], RATES
    fit(model, rate, batches, epochs, *further)
    told, labels = right(model, target, prepare), target.test[1]
    return float(np.mean([told[labels == label].mean() for label in np.unique(labels)]))


def main(
    data: str = "cifar10_jpeg",
    source: str = "cifar10_jpeg",
    classes: str = "1,3,5,7,9",
    source_classes: str = "0,2,4,6,8",
    model: str = "resnet20",
    per_class: str = "10,25,50,100",
    repeats: int = 3,
    epochs: int = 40,
    source_epochs: int = 30,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    shift: int = 4,
    flip: bool = True,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains the source once, then each method at each size; what is done is not done again.

    `classes` and `source_classes` name some of each data set's, by name or number; empty for all.
    """
    configuration = dict(locals())
    recipes.check_positive(repeats=repeats, epochs=epochs, source_epochs=source_epochs, samples=samples)
    counts = sorted(int(count) for count in per_class.split(","))
    target = kzoo.data.load(data, seed=seed).only(classes).take(samples, seed)
    first = kzoo.data.load(source, seed=seed).only(source_classes).take(samples, seed)
    title = f"{first.name} ({', '.join(first.labels)}) to {target.name}, {model}"
    engine = keras.config.backend()
    run = Run("transfer_learning", f"{first.name}-{target.name}-{model}-{engine}", configuration)
    figures = dict(run.once("source", functools.partial(pretrain, first, configuration, run)))

    def trained(method, count, repeat):
        work = functools.partial(train, method, count, repeat, target, configuration, run)
        return run.once(f"{method} {count} {repeat}", work)

    found = {m: [[trained(m, count, i) for count in counts] for i in range(repeats)] for m in METHODS}
    table = Table("images per class", *METHODS, title=f"{title}, mean ± sd over {repeats}")
    for i, count in enumerate(counts):
        cells = []
        for method, rows in found.items():
            own = np.array([row[i] for row in rows])
            figures[f"{method.replace('-', '_')}_{count}_accuracy"] = float(own.mean())
            cells.append(f"{own.mean():.2%} ± {own.std():.2%}")
        table.add_row(str(count), *cells)
    Console().print(table)
    plots.bands(found, run.path("accuracy.png"), title, "images per class", "accuracy", counts, log=True)
    told = dict(model=model, data=target.name, parameters=network(configuration, target, seed).count_params())
    run.finish(figures=figures, **told)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
