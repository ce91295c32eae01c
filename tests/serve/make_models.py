"""Writes small SavedModels for the tests of the server: `python make_models.py FOLDER`. Needs TensorFlow."""

import io
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from PIL import Image

LABELS = ("dark", "grey", "bright")


def save(module, path, signatures, methods=None):
    """Saves a module; `methods` names the method of signatures other than Predict's."""
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(path), signatures=signatures, options=options)
    if methods:
        updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(path))
        for key, method in methods.items():
            updater.replace_method_name(signature_key=key, method_name=f"tensorflow/serving/{method}")
        updater.save()


def scale(path, number):
    """`y = 2 x + number`: each version answers differently. Its weights are real variables."""
    module = tf.Module()
    module.weight, module.bias = tf.Variable(2.0), tf.Variable(float(number))

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
    def serve(x):
        return {"y": x * module.weight + module.bias}

    save(module, path, {"serving_default": serve})


def mixed(path):
    """Several inputs and outputs of several types; also a signature whose batch is fixed."""
    module = tf.Module()

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2], tf.float32, "numbers"),
            tf.TensorSpec([None], tf.int32, "count"),
            tf.TensorSpec([None], tf.string, "word"),
        ]
    )
    def serve(numbers, count, word):
        return {
            "total": tf.reduce_sum(numbers, axis=1) * tf.cast(count, tf.float32),
            "half": tf.cast(numbers, tf.float16) / 3,
            "brain": tf.cast(numbers, tf.bfloat16),
            "double": tf.cast(numbers, tf.float64) / 3,
            "many": tf.cast(count, tf.int64) * 10_000_000_000,
            "even": tf.equal(count % 2, 0),
            "upper": tf.strings.upper(word),
            "raw_bytes": word,
        }

    @tf.function(input_signature=[tf.TensorSpec([1, 2], tf.float32, "numbers")])
    def fixed(numbers):
        return {"sum": tf.reduce_sum(numbers)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def root(x):
        return {"y": tf.sqrt(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "keep")])
    def chosen(keep):
        return {"kept": tf.boolean_mask(keep, keep > 0)}

    save(module, path, {"serving_default": serve, "fixed": fixed, "root": root, "chosen": chosen})


def slow(path):
    """`y = x`, after as many rounds of work as the largest `rounds` asks for."""
    module = tf.Module()

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([None], tf.int32, "rounds")]
    )
    def serve(x, rounds):
        work = tf.ones([200, 200])
        for _ in tf.range(tf.reduce_max(rounds)):
            work = tf.matmul(work, work) / 200.0
        return {"y": x * work[0, 0]}

    save(module, path, {"serving_default": serve})


def classifier(path):
    """Says how bright a picture is: encoded pictures in, labels and scores out; and the same of examples."""
    module = tf.Module()
    module.names = tf.Variable(LABELS)

    def scores_of(pictures):
        def brightness(picture):
            image = tf.io.decode_image(picture, channels=3, expand_animations=False)
            return tf.reduce_mean(tf.cast(image, tf.float32)) / 255.0

        level = tf.map_fn(brightness, pictures, fn_output_signature=tf.float32)
        scores = tf.nn.softmax(-20.0 * tf.square(level[:, None] - tf.constant([0.0, 0.5, 1.0])))
        best, places = tf.math.top_k(scores, 3)
        return tf.gather(module.names, places), best

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def classify_images(image_bytes):
        labels, scores = scores_of(image_bytes)
        return {"labels": labels, "scores": scores}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify(inputs):
        feature = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
        labels, scores = scores_of(tf.io.parse_example(inputs, feature)["image/encoded"])
        return {"classes": labels, "scores": scores}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def regress(inputs):
        features = {"x": tf.io.FixedLenFeature([], tf.float32), "z": tf.io.FixedLenFeature([], tf.int64, 0)}
        parsed = tf.io.parse_example(inputs, features)
        return {"outputs": parsed["x"] / 2.0 + 2.0 + tf.cast(parsed["z"], tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, "image")])
    def serve(image):
        return {"level": tf.reduce_mean(image, axis=[1, 2, 3])}

    signatures = {
        "serving_default": serve,
        "classify_images": classify_images,
        "classify": classify,
        "regress": regress,
    }
    save(module, path, signatures, {"classify": "classify", "regress": "regress"})
    samples = Path(path, "assets.extra", "samples")
    samples.mkdir(parents=True)
    for name, level in zip(LABELS, (10, 128, 245)):
        samples.joinpath(f"{name}.png").write_bytes(png(level))


def png(level):
    """A plain picture of one grey level, encoded."""
    stream = io.BytesIO()
    Image.fromarray(np.full((24, 24, 3), level, "uint8")).save(stream, "PNG")
    return stream.getvalue()


def main(folder):
    """`served/NAME/VERSION` as a server finds them, `spare/NUMBER` to publish later, `reference.npz` to compare."""
    folder = Path(folder)
    scale(folder / "served/scale/1", 1)
    for number in (2, 3, 4):
        scale(folder / f"spare/{number}", number)
    mixed(folder / "served/mixed/1")
    slow(folder / "served/slow/1")
    classifier(folder / "served/classifier/1")
    reference(folder)


def reference(folder):
    """What plain TensorFlow says of the same files."""
    random = np.random.default_rng(0)
    given = {
        "numbers": random.normal(size=(5, 2)).astype("float32"),
        "count": np.arange(5, dtype="int32"),
        "word": np.array(["a", "bé", "", "zoo", "K"], dtype=object),
    }
    loaded = tf.saved_model.load(str(folder / "served/mixed/1"))
    tensors = {name: tf.constant(array) for name, array in given.items()}
    outputs = loaded.signatures["serving_default"](**tensors)
    outputs = {name: tensor.numpy() for name, tensor in outputs.items()}
    outputs["brain"] = outputs["brain"].astype("float32")
    np.savez(
        folder / "reference.npz",
        **{f"in_{name}": array for name, array in given.items()},
        **{f"out_{name}": array for name, array in outputs.items()},
    )


if __name__ == "__main__":
    main(sys.argv[1])
