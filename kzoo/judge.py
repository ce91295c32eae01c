"""A classifier of real images as a judge of generated ones: are they of the class wanted, and as various as real ones?

The distance between the features of real and generated images is the FID's formula, but the features are this
classifier's. Its figures can be compared with one another where classifier, data and number of images are the same, and
with nobody's FID: another classifier sees other things, and one that was trained to tell classes apart is blind to what
does not help it there. Fewer images give a larger distance.
"""

import keras
import numpy as np

import kzoo
from kzoo import recipes
from kzoo.backend.state import tensorflow_left_out
from kzoo.callbacks.resume import Resume
from kzoo.data.batches import Batches
from kzoo.data.preprocessing import Preprocessing
from kzoo.files import replacing
from kzoo.metrics import FrechetDistance, ManifoldPrecisionRecall


class Judge:
    """What a trained classifier says of images between 0 and 1.

    Args:
        classifier: of images to logits, with a layer `head` that gives them.

    Attributes:
        features: the model from images to what its head sees, `(b, dim)`.
    """

    def __init__(self, classifier):
        self.classifier = classifier
        self.features = keras.Model(classifier.input, classifier.get_layer("head").input, name="features")

    @classmethod
    def trained(cls, images, folder, *, model="cnn", epochs=3, batch_size=128, seed=0):
        """Trains one on a data set's training images, or takes the one that was left in the folder.

        Args:
            images: as `kzoo.data.load` gives them.
            folder: where it is kept; an interrupted training goes on from there.
            model: the classifier's name.
            epochs: of training.
            batch_size: of training.
            seed: of the order of the images.
        """
        made = {"model": model, "epochs": epochs, "seed": seed, "images": len(images.train[1])}
        path = folder / f"judge-{'-'.join(map(str, made.values()))}.keras"
        if path.exists():
            return cls(keras.models.load_model(path, compile=False))
        classifier = kzoo.create_model(model, image_shape=images.image_shape, num_classes=images.num_classes)
        kzoo.accelerate(classifier)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        classifier.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
        train = Batches(*images.train, batch_size, seed=seed, preprocess=Preprocessing(images.image_shape))
        resume = Resume(folder / "resume-judge", data=train, configuration=made)
        classifier.fit(train, epochs=epochs, callbacks=[resume], verbose=recipes.verbosity())
        with replacing(path) as aside, tensorflow_left_out():
            classifier.save(aside)
        return cls(classifier)

    def agreement(self, images, labels):
        """The share of the images that it finds to be of the classes wanted: of test images, its accuracy."""
        logits = self.classifier.predict(images, batch_size=256, verbose=0)
        return float(np.mean(logits.argmax(-1) == np.asarray(labels)))

    def compare(self, real, generated):
        """`{"fid", "precision", "recall"}` of generated images beside as many real ones.

        The second and third are `kzoo.metrics.ManifoldPrecisionRecall`'s.
        """
        features = [self.features.predict(images, batch_size=256, verbose=0) for images in (real, generated)]
        distance = FrechetDistance(dim=features[0].shape[1])
        shares = ManifoldPrecisionRecall()
        for metric in (distance, shares):
            metric.update_state(*features)
        return {"fid": float(distance.result()), **shares.result()}
