"""What a published SavedModel does with pictures, looked at in TensorFlow: run as a program by `test_publish.py`.

`python serving_probe.py VERSION PICTURES` prints one JSON object.
"""

import functools
import io
import json
import sys

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from kzoo.data.preprocessing import Preprocessing, read_image
from kzoo.export.pixels import read_batch, read_picture
from kzoo.predict import predict


def main(version, pictures):
    loaded = tf.saved_model.load(version)
    found = {"pixels": pixels(), "exact": exact(), "orientations": orientations()}
    found["predicted"] = [[one.labels, one.scores] for one in predict(version, pictures, top=6)]
    print(json.dumps(found | served(loaded, version)))


def picture(height, width, mode="RGB", seed=0):
    y, x = np.mgrid[:height, :width]
    waves = np.stack([127 + 100 * np.sin(x / (3 + c) + y / (7 - c)) for c in range(3)], -1)
    noisy = waves + np.random.default_rng(seed).normal(0, 20, waves.shape)
    return Image.fromarray(noisy.clip(0, 255).astype("uint8")).convert(mode)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@functools.cache
def reader(preprocessing):
    """Traced once for each preprocessing."""
    return tf.function(lambda data: read_picture(data, preprocessing))


def in_both(data, preprocessing):
    """One picture's levels from the graph and from Pillow."""
    with open("picture", "wb") as file:
        file.write(data)
    h, w, c = preprocessing.image_shape
    theirs = read_image("picture", c, (h, w), preprocessing.interpolation)
    ours = reader(preprocessing)(tf.constant(data))
    return ours.numpy(), theirs.astype("float32")


def pixels():
    """Largest difference of a level, and share of levels that differ, by interpolation."""
    found = {}
    for interpolation in ("nearest", "bilinear", "bicubic", "lanczos"):
        worst, differing, total = 0.0, 0, 0
        for (height, width), shape in (
            ((61, 83), (28, 28, 1)),
            ((28, 28), (56, 40, 3)),
            ((700, 500), (224, 224, 3)),
        ):
            data = encoded(picture(height, width), "PNG")
            ours, theirs = in_both(data, Preprocessing(shape, interpolation=interpolation))
            worst = max(worst, float(np.abs(ours - theirs).max()))
            differing, total = differing + int((ours != theirs).sum()), total + ours.size
        found[interpolation] = [worst, differing / total]
    return found


def exact():
    """Largest difference by kind of file of the model's size, after mean and deviation."""
    files = {
        "rgb png": encoded(picture(20, 30), "PNG"),
        "grey png": encoded(picture(20, 30, "L"), "PNG"),
        "palette png": encoded(picture(20, 30).convert("P"), "PNG"),
        "alpha png": encoded(picture(20, 30, "RGBA"), "PNG"),
        "jpeg": encoded(picture(20, 30), "JPEG", quality=75),
        "grey jpeg": encoded(picture(20, 30, "L"), "JPEG", quality=90),
        "progressive jpeg": encoded(picture(20, 30), "JPEG", quality=50, progressive=True),
        "cmyk jpeg": encoded(picture(20, 30, "CMYK"), "JPEG"),
    }
    found = {}
    for channels in (1, 3):
        prepare = Preprocessing((20, 30, channels), (0.3,) * channels, (0.21,) * channels)
        batch = tf.function(read_batch)(tf.constant(list(files.values())), prepare).numpy()
        for (name, data), ours in zip(files.items(), batch):
            with open("picture", "wb") as file:
                file.write(data)
            found[f"{name}, {channels}"] = float(np.abs(ours - prepare.of_files(["picture"])[0]).max())
    return found


def orientations():
    """Largest difference for each EXIF orientation, in both orders of bytes."""
    found = {}
    for order in ("<", ">"):
        for number in range(1, 9):
            exif = Image.Exif()
            exif.endian = order
            exif[0x010E], exif[0x0112] = "a description that is longer than four bytes", number
            size = (20, 30) if number < 5 else (30, 20)
            data = encoded(picture(*size), "JPEG", exif=exif.tobytes(), quality=95)
            ours, theirs = in_both(data, Preprocessing((20, 30, 3)))
            found[f"{order}{number}"] = float(np.abs(ours - theirs).max())
    return found


def served(loaded, version):
    """The published model's signatures on bytes, good and bad, and its warm-up requests replayed."""
    classify, examples = loaded.signatures["classify_images"], loaded.signatures["classify"]
    found = {"junk": {}, "warmup": []}
    for name, data in {
        "text": b"no picture at all",
        "empty": b"",
        "cut png": encoded(picture(9, 9), "PNG")[:60],
        "cut jpeg": encoded(picture(99, 99), "JPEG")[:400],
        "exif without end": b"\xff\xd8\xff\xe1\xff\xffExif\0\0II*\0\xff\xff\xff\x7f",
    }.items():
        try:
            classify(image_bytes=tf.constant([encoded(picture(4, 4), "PNG"), data]))
            found["junk"][name] = "no error"
        except tf.errors.InvalidArgumentError as error:
            found["junk"][name] = str(error)
    none = classify(image_bytes=tf.constant([], tf.string))
    found["empty batch"] = [none["labels"].shape.as_list(), none["scores"].shape.as_list()]
    for record in tf.data.TFRecordDataset(f"{version}/assets.extra/tf_serving_warmup_requests"):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        if log.HasField("predict_log"):
            request = log.predict_log.request
            values = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
            answer = loaded.signatures[request.model_spec.signature_name](**values)
        else:
            request = log.classify_log.request
            serialized = [one.SerializeToString() for one in request.input.example_list.examples]
            answer = examples(inputs=tf.constant(serialized))
        rows = len(next(iter(answer.values())))
        found["warmup"].append([request.model_spec.name, request.model_spec.signature_name, rows])
    with open(f"{version}/saved_model.pb", "rb") as file:
        graph = saved_model_pb2.SavedModel.FromString(file.read()).meta_graphs[0]
    signatures = graph.signature_def
    found["methods"] = {
        name: signature.method_name for name, signature in signatures.items() if name[0] != "_"
    }
    names = {
        name: [sorted(one.inputs), sorted(one.outputs)] for name, one in signatures.items() if name[0] != "_"
    }
    found["names"] = names
    used = {node.op for node in graph.graph_def.node}
    used |= {node.op for function in graph.graph_def.library.function for node in function.node_def}
    found["foreign"] = sorted(op for op in used if op.startswith(("Py", "EagerPy", "Xla", "_Xla")))
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
