"""How far kzoo's networks with another library's weights are from that library's, on the engine of `KERAS_BACKEND`.

`python tests/vision/equal.py FOLDER OUT.json SIZES [--sources | --families | --second]`, after `oracle.py FOLDER`. Also
by hand: `python tests/vision/equal.py --both resnet` makes the oracle and compares on the engine in use.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import keras
import numpy as np
from keras.src.legacy.saving import legacy_h5_format
from oracle import cases, chosen, images

import kzoo
from kzoo.models import catalog
from kzoo.weights import load, load_weights


def distances(case, folder, sizes=2):
    """Output name to max |a - b| over max |b|, at each size."""
    found, ours, theirs = {}, None, None
    family = catalog.family_of(case.model)
    source = load.source_of(family, case.source)
    for i, size in enumerate(case.sizes[:sizes]):
        if case.source == "keras":
            theirs = _keras_model(case, folder, size, theirs)
        before, arguments = ours, {**source.arguments, **case.ours}
        ours = kzoo.create_model(case.model, image_shape=(*size, 3), num_classes=case.classes, **arguments)
        if i and case.source == "keras":  # reading it takes Keras a while
            ours.set_weights(before.get_weights())
        else:
            (path,) = (p for p in folder.glob(f"{case.key}.*") if p.suffix != ".npz")
            report = load_weights(ours, family, case.source, path, case.theirs)
            assert not report.fresh and (i or not report.adapted), report
        outputs = _run(ours, case, images(size))
        if theirs is None:
            wanted = {k: v for k, v in np.load(folder / f"{case.key}.npz").items() if k.startswith(f"{i}.")}
        else:
            wanted = {f"{i}.{k}": v for k, v in _keras_run(theirs, case, images(size)).items()}
        assert len(wanted) == 1 + len(case.features)
        for name, b in wanted.items():
            a = outputs[name.partition(".")[2]]
            if b.ndim == 3 and a.ndim == 4:  # their tokens, our map; a class token stands before the patches
                b = b[:, b.shape[1] - a.shape[1] * a.shape[2] :].reshape(a.shape)
            assert a.shape == b.shape, (case.key, name, a.shape, b.shape)
            assert np.std(b) > 1e-6, f"{case.key}: {name} says nothing"
            found[name] = float(np.abs(a - b).max() / np.abs(b).max())
    return found


def _run(model, case, x):
    stages = kzoo.features(model).output if case.features else {}
    return _outputs(keras.Model(model.input, {"logits": model.output} | stages), x)


def _outputs(model, x):
    """On JAX as one program: op by op it would compile every operation."""
    outputs = model.predict_on_batch(x) if keras.config.backend() == "jax" else model(x, training=False)
    return {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}


def _keras_model(case, folder, size, before):
    """Theirs at an image size: at the first with random weights, which are saved as published files are."""
    model = load.keras_builder(case.theirs)(
        **{"weights": None, "classes": case.classes, "classifier_activation": None, "input_shape": (*size, 3)}
        | case.arguments
    )
    if before is not None:
        model.set_weights(before.get_weights())
        return model
    generator = np.random.default_rng(1)
    for variable in model.variables:
        noise = generator.normal(size=variable.shape).astype("float32")
        if variable.path.endswith("moving_variance"):
            variable.assign(1 + 0.3 * np.abs(noise))
        elif len(variable.shape) == 1 and keras.backend.is_float_dtype(variable.dtype):
            variable.assign(keras.ops.convert_to_numpy(variable) + 0.1 * noise)
    with h5py.File(folder / f"{case.key}.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return model


def _keras_run(model, case, x):
    outputs = {"logits": model.output} | {s: model.get_layer(n).output for s, n in case.features.items()}
    start = model.get_layer(case.start).input if case.start else model.input
    return _outputs(keras.Model(start, outputs), x)


def main():
    if sys.argv[1] == "--both":
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(Path(__file__).with_name("oracle.py")), folder, *sys.argv[2:]]
            subprocess.run(command, check=True, env=os.environ | {"PYTHONWARNINGS": "ignore"})
            for case in cases(sys.argv[2:]):
                worst = distances(case, Path(folder))
                name, value = max(worst.items(), key=lambda item: item[1])
                sys.stdout.write(f"{case.key:45} {value:.1e} at {name}\n")
        return
    folder, out, sizes, *part = sys.argv[1:]
    found = {case.key: distances(case, Path(folder), int(sizes)) for case in chosen(*part)}
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
