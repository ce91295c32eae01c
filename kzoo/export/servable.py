"""The TensorFlow process that makes a SavedModel for serving and runs it; `publisher.py` starts and judges it."""

from pathlib import Path

import numpy as np

from kzoo.export import apart
from kzoo.export.verify import verify


def make(job, progress):
    """Writes the SavedModel, its card and its warm-up requests, and runs every signature.

    Args:
        job: `model`, `modules`, `trusted` and `cases` as for `worker.py`; `path`, the directory to write;
            `name`, the model's name on the server; `card` or `None`; `pictures`, files of encoded pictures, for
            an image classifier.
        progress: a function called with a line of text.

    Returns:
        `signatures` (names), `difference` (of `serving_default`, as text) and, for each picture, `labels` and
        `scores`.
    """
    from kzoo.export.card import write_card
    from kzoo.export.runners import SavedModelRunner
    from kzoo.export.signatures import save_servable
    from kzoo.export.warmup import write_warmup
    from kzoo.export.worker import load_job

    (model, cases), path = load_job(job), Path(job["path"])
    pictures = [Path(file).read_bytes() for file in job["pictures"]]
    names = save_servable(model, path, job["card"] if pictures else None)
    write_card(path, "savedmodel", job["card"])
    runner = SavedModelRunner(path)
    fixed = any(tensor.shape[:1] != (None,) for tensor in runner.inputs)
    warmup = write_warmup(path, job["name"], cases[0][0], pictures, (None,) if fixed else (1, 4))
    progress(f"{job['name']}: {', '.join(names)}; {warmup} warm-up requests")
    difference = verify(runner, cases)
    return {"signatures": names, "difference": str(difference), "pictures": _classified(path, pictures)}


def _classified(path, pictures):
    """What both classifying signatures say of encoded pictures."""
    import tensorflow as tf

    from kzoo.export.signatures import CLASSIFY, IMAGES
    from kzoo.export.warmup import example_of

    if not pictures:
        return []
    loaded = tf.saved_model.load(str(path))
    first = loaded.signatures[IMAGES](image_bytes=tf.constant(pictures))
    examples = [example_of(picture).SerializeToString() for picture in pictures]
    second = loaded.signatures[CLASSIFY](inputs=tf.constant(examples))
    labels, scores = first["labels"].numpy(), first["scores"].numpy()
    if not (np.array_equal(labels, second["classes"]) and np.allclose(scores, second["scores"], atol=1e-6)):
        raise RuntimeError(f"{IMAGES} and {CLASSIFY} say different things of the same pictures")
    return [
        {"labels": [label.decode() for label in names], "scores": row.tolist()}
        for names, row in zip(labels, scores)
    ]


if __name__ == "__main__":
    apart.run(make)
