"""Models for the parity gate: name to a function that makes one."""

import kzoo


def _image_model(name, **arguments):
    return lambda: kzoo.create_model(name, image_shape=(8, 8, 3), num_classes=4, dropout=0.0, **arguments)


MODELS = {name: _image_model(name) for name in kzoo.list_models()}
