"""Generative adversarial networks: DCGAN, with classes, with a gradient penalty, or with spectral normalisation.

Task       make images that a critic takes for real; count the classes they cover, and look for copies
Data       `mnist`, `fashion_mnist` or another data set of small images that `kzoo list` shows
Paper      Radford et al. (2016), arXiv:1511.06434; Gulrajani et al. (2017), arXiv:1704.00028; Lim and Ye (2017),
           arXiv:1705.02894, with Miyato et al. (2018), arXiv:1802.05957
Command    kzoo run gan --backend torch
           kzoo run gan --backend torch --kind conditional
           kzoo run gan --backend torch --kind wgan_gp --batch-size 32 --epochs 7
           kzoo run gan --backend torch --kind hinge
Score      MNIST, DCGAN, torch: classes covered 10, class entropy 2.1985, fid 33.72, recall 0.8436 in 7.9 min*
           MNIST, of the class asked for, torch: asked class accuracy 98.98%, classes covered 10, classifier
           accuracy 98.26%, fid 6.3250 in 18.4 min*
           MNIST, Wasserstein with a gradient penalty, torch: classes covered 10, class entropy 2.2839, fid 30.95,
           recall 0.8774 in 7.4 min*
           MNIST, hinge with spectral norm, torch: classes covered 10, class entropy 2.2698, fid 29.89, recall
           0.8662 in 10.6 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import keras
import numpy as np

import kzoo
from kzoo import losses, plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import Batches, Preprocessing
from kzoo.engine import unknown
from kzoo.judge import Judge
from kzoo.learners import AdversarialNetworks
from kzoo.runs import Run

KINDS = {  # of the networks, and of their training
    "dcgan": ({}, {}),
    "conditional": ({"conditional": True}, {}),
    "least_squares": ({}, {"loss": losses.LeastSquaresGAN}),
    "wgan_gp": (
        {"critic_norm": keras.layers.RMSNormalization},
        {"loss": losses.WassersteinGAN, "penalty": 10.0, "critic_steps": 5},
    ),
    "hinge": ({"critic_norm": None, "spectral_norm": True}, {"loss": losses.HingeGAN}),
}


class Film(keras.callbacks.Callback):
    """Keeps samples of the same noise after each epoch, in a file that a resumed run goes on with."""

    def __init__(self, path, labels):
        super().__init__()
        self.path, self.labels = path, labels

    def on_epoch_end(self, epoch, logs=None):
        frame = self.model.sample(10, self.labels, seed=1)
        kept = np.load(self.path)[:epoch] if epoch and self.path.exists() else frame[None][:0]
        np.save(self.path, np.concatenate([kept, frame[None]]))


def nearest(samples, x):
    """The training images that are nearest to samples."""
    flat, known = samples.reshape(len(samples), -1), x.reshape(len(x), -1)
    distances = (known**2).sum(1) - 2 * flat @ known.T  # what is missing is the same for all
    return x[distances.argmin(1)]


def main(
    data: str = "mnist",
    model: str = "dcgan_small",
    kind: str = "dcgan",
    epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 2e-4,
    average: float = 0.999,
    judged: int = 5000,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains a GAN of one `kind` and says how many classes its images cover.

    A classifier that is trained here names the class of `judged` samples and compares them with test images.
    `average` is the decay of the generator's weights whose mean makes the samples. The critic of `wgan_gp` takes five
    steps for one of the generator.
    """
    configuration = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, samples=samples)
    if kind not in KINDS:
        raise unknown("kind of GAN", kind, KINDS)
    kzoo.set_seed(seed)
    images = kzoo.data.load(data, seed=seed, validation=0).take(samples, seed)
    classes = images.num_classes
    engine = keras.config.backend()
    run = Run("gan", f"{images.name}-{kind}-{engine}", configuration)

    prepare = Preprocessing(images.image_shape)  # between 0 and 1
    sizes, training = (dict(part) for part in KINDS[kind])
    conditional = sizes.pop("conditional", False)
    shape = dict(image_shape=images.image_shape, num_classes=classes if conditional else 0)
    network = kzoo.create_model(model, **shape, **sizes)
    kzoo.accelerate(network)
    loss = training.pop("loss", losses.NonSaturatingGAN)()
    learner = AdversarialNetworks(network, loss, average=average, seed=seed, **training)
    size = batch_size * learner.critic_steps
    train = Batches(*images.train, size, seed=seed, drop_last=True, preprocess=prepare, num_classes=classes)
    beta = 0.0 if learner.penalty else 0.5  # as in the papers
    adam = {
        name: keras.optimizers.Adam(learning_rate, beta_1=beta, beta_2=0.9 if learner.penalty else 0.999)
        for name in ("critic", "generator")
    }
    learner.compile(optimizers=adam)
    # Before the state: a frame too many is cut off when a run goes on, a missing one would be missed.
    film = Film(run.path("film.npy"), np.arange(10) % classes if conditional else None)
    resume = Resume(run.path("resume"), data=train, configuration=configuration, keep=True)
    learner.fit(train, epochs=epochs, callbacks=[film, resume, run.log], verbose=recipes.verbosity())

    asked = np.arange(judged) % classes if conditional else None
    made = learner.sample(judged, asked, seed=2)
    judge = Judge.trained(images, run.folder, model="cnn_small", epochs=min(3, epochs), seed=seed)
    seen = judge.classifier.predict(made, batch_size=256, verbose=0).argmax(-1)
    x_test, y_test = prepare(images.test[0]), images.test[1]
    shares = np.bincount(seen, minlength=classes) / judged
    figures = {
        "classes_covered": int(np.sum(shares > 0.1 / classes)),  # at least a tenth of an even share
        "class_entropy": float(-shares @ np.log(np.maximum(shares, 1e-12))),  # nats; even: log(classes)
        "classifier_accuracy": judge.agreement(x_test, y_test),
        **judge.compare(x_test[:judged], made),  # in the classifier's features
        "critic_loss": float(resume.history["critic_loss"][-1]),
        "epochs": len(resume.history["critic_loss"]),
        "seconds": round(run.seconds, 1),
    }
    if conditional:
        figures["asked_class_accuracy"] = float(np.mean(seen == asked))
    told = dict(model=model, data=images.name, labels=list(images.labels), outputs="images")
    run.save(learner, figures=figures, history=resume.history, **told)
    resume.clear()
    title = f"{kind} on {images.name} ({engine})"
    sheet = learner.sample(100, np.repeat(np.arange(10) % classes, 10) if conditional else None)
    plots.mosaic(sheet, run.path("samples.png"), 10, images.labels[:10] if conditional else (), title=title)
    frames = np.load(run.path("film.npy"))[:: max(1, epochs // 10)]
    rows = [f"epoch {1 + i * max(1, epochs // 10)}" for i in range(len(frames))]
    plots.mosaic(frames.reshape(-1, *images.image_shape), run.path("film.png"), 10, rows, title=title)
    beside = np.concatenate([made[:10], nearest(made[:10], prepare(images.train[0]))])
    rows = ["sample", "nearest"]
    plots.mosaic(beside, run.path("neighbours.png"), 10, rows, title="Nearest training images")
    wanted = np.bincount(images.train[1], minlength=classes) / len(images.train[1])
    plots.coverage(shares, run.path("coverage.png"), images.labels, wanted, title)
    plots.curves(resume.history, run.path("curves.png"), title=title)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
