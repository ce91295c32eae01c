"""Looking inside a classifier: its filters, its maps, what its classes look for, how its layers see the data.

Task       see what a trained network has learned that an untrained one of the same design has not
Data       the test images of a data set that `kzoo list` shows (`fashion_mnist`)
Paper      Simonyan et al. (2014), arXiv:1312.6034: images that make a class answer; van der Maaten and Hinton (2008),
           t-SNE; Kornblith et al. (2019), arXiv:1905.00414: similarity of layers
Command    kzoo run looking_inside --backend torch
           kzoo run looking_inside --backend torch --trained runs/image_classification/fashion_mnist-resnet20-torch
Score      Fashion-MNIST, torch: trained neighbours accuracy 90.60%, untrained neighbours accuracy 50.60% in 0.8
           min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import functools

import keras
import numpy as np

import kzoo
from kzoo import explain, plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import Batches, Preprocessing
from kzoo.export import archive
from kzoo.models import catalog
from kzoo.predict import read_card
from kzoo.runs import Run


def network(name, images, seed):
    """A fresh network for small images."""
    kzoo.set_seed(seed)
    small = catalog.small_image_arguments(name) if max(images.image_shape[:2]) < 64 else {}
    return kzoo.create_model(name, image_shape=images.image_shape, num_classes=images.num_classes, **small)


def train(model, images, prepare, configuration, run):
    """A short training; `image_classification` trains well and at length."""
    batches = Batches(
        *images.train, configuration["batch_size"], seed=configuration["seed"], preprocess=prepare
    )
    kzoo.accelerate(model)
    epochs = configuration["epochs"]
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(batches))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=0.01), loss)
    resume = Resume(run.path("resume"), data=batches, configuration=configuration)
    model.fit(batches, epochs=epochs, callbacks=[resume, run.log], verbose=recipes.verbosity())


def outputs_of(model, layer, x):
    return keras.Model(model.input, model.get_layer(layer).output).predict(x, verbose=0)


def nearest_share(points, labels):
    """How many examples have a nearest neighbour of their own class."""
    distances = np.square(points[:, None] - points[None]).sum(-1)
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(labels[distances.argmin(1)] == labels))


def main(
    data: str = "fashion_mnist",
    trained: str = "",
    model: str = "resnet20",
    epochs: int = 3,
    batch_size: int = 64,
    samples: int | None = None,
    points: int = 1000,
    steps: int = 96,
    seed: int = 0,
) -> dict[str, float]:
    """Draws what is inside a model of a run folder, or of one that is trained here for a few epochs.

    `points` test images are embedded and compare the layers; `steps` of ascent make a class answer.
    """
    configuration = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, samples=samples, points=points, steps=steps)
    images = kzoo.data.load(data, seed=seed).take(samples, seed)
    if trained:
        card = read_card(trained)
        model, prepare = card["model"], Preprocessing.from_dict(card["preprocessing"])
        known = archive.load_keras(trained)
        if known.input_shape[1:] != images.image_shape:
            raise ValueError(
                f"{trained} takes {known.input_shape[1:]}. Received: {images.image_shape} of {data}"
            )
    else:
        known, prepare = network(model, images, seed), Preprocessing.fit(images.train[0])
    run = Run("looking_inside", f"{images.name}-{model}-{keras.config.backend()}", configuration)
    if not trained:
        train(known, images, prepare, configuration, run)
    untrained = network(model, images, seed + 1)

    seen = images.take({"test": points}, seed).test
    x, y = prepare(seen[0]), seen[1]
    plots.filters(known, run.path("filters.png"))
    plots.feature_maps(known, x[0], run.path("maps.png"), title=f"{images.labels[y[0]]}: maps by stage")
    classes = range(images.num_classes)
    found, answers = explain.maximize_activation(known, classes, steps=steps, shift=2, seed=seed)
    captions = [f"{label} {after:.1f}" for label, (_, after) in zip(images.labels, answers)]
    plots.sheet(found, run.path("classes.png"), captions, "What makes each class answer (logit)", 5)

    figures = {"sought_class_share": float(np.mean(known.predict(found, verbose=0).argmax(-1) == classes))}
    for name, one in (("trained", known), ("untrained", untrained)):
        places = explain.embed(outputs_of(one, "pool", x), seed=seed)
        figures[f"{name}_neighbours_accuracy"] = nearest_share(places, y)
        title = f"{model}, {name}: {figures[f'{name}_neighbours_accuracy']:.0%} beside their own class"
        plots.embedding(places, y, images.labels, run.path(f"embedding-{name}.png"), title)
    heat = functools.partial(plots.heat_map, bar="linear CKA")
    matrix, rows, columns = explain.layer_similarity(known, x)
    heat(matrix, rows, columns, run.path("similarity.png"), title="Layers of the trained network")
    matrix, rows, columns = explain.layer_similarity(known, x, untrained)
    said = dict(title="Trained and untrained", y="trained", x="untrained")
    heat(matrix, rows, columns, run.path("similarity-untrained.png"), **said)
    figures["untrained_similarity"] = float(np.mean(np.diag(matrix)))
    run.finish(figures=figures, model=model, data=images.name, parameters=known.count_params())
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
