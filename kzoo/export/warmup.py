"""Warm-up requests, which TensorFlow Serving replays when it loads a version, before the first client comes."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from kzoo.engine import require
from kzoo.export.card import EXTRA
from kzoo.export.runners import SIGNATURE
from kzoo.export.signatures import CLASSIFY, FEATURE, IMAGES

FILE = "tf_serving_warmup_requests"


def write_warmup(path, name, inputs, pictures=(), batches=(1, 4)):
    """Writes `assets.extra/tf_serving_warmup_requests` of a SavedModel directory.

    Args:
        path: the SavedModel directory.
        name: the model's name on the server.
        inputs: an array for each named input of `serving_default`, batch first.
        pictures: encoded pictures for the signatures that take them; without any these are left out.
        batches: the batch sizes to warm up, made of what is given; `None` stands for a batch as it is given, which
            is all that a model takes that fixes its batch size.

    Returns:
        How many requests were written.
    """
    requests = []
    for size in batches:
        tensors = {key: tf.make_tensor_proto(_batch(array, size)) for key, array in inputs.items()}
        requests.append(_predict(name, SIGNATURE, tensors))
        if pictures:
            chosen = [pictures[index % len(pictures)] for index in range(size)]
            requests.append(_predict(name, IMAGES, {"image_bytes": tf.make_tensor_proto(chosen)}))
            requests.append(_classify(name, chosen))
    folder = Path(path, EXTRA)
    folder.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for request in requests:
            writer.write(request.SerializeToString())
    return len(requests)


def example_of(picture):
    """A `tf.train.Example` that carries an encoded picture, as the Classify API takes it."""
    value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture]))
    return tf.train.Example(features=tf.train.Features(feature={FEATURE: value}))


def _batch(array, size):
    return array if size is None or not array.ndim else np.resize(array, (size, *array.shape[1:]))


def _log():
    return require("tensorflow_serving.apis.prediction_log_pb2", "serve")


def _predict(name, signature, tensors):
    log = _log().PredictionLog()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for key, tensor in tensors.items():
        request.inputs[key].CopyFrom(tensor)
    return log


def _classify(name, pictures):
    log = _log().PredictionLog()
    request = log.classify_log.request
    request.model_spec.name, request.model_spec.signature_name = name, CLASSIFY
    request.input.example_list.examples.extend(example_of(picture) for picture in pictures)
    return log
