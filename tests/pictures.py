"""A small classifier of pictures, its card and some pictures: what the tests of serving and of cards share."""

import json

import keras
import numpy as np
from PIL import Image

from kzoo.data import Preprocessing
from kzoo.export.archive import save

LABELS = ["dark", "grey", "bright", "brighter", "ähnlich weiß", "white"]


def brightness_model(size=6):
    """Tells dark from bright pictures: logits `-60 (mean - centre)^2` up to a constant."""
    model = keras.Sequential([keras.Input((size, size, 1), name="image"), keras.layers.Flatten()])
    model.add(keras.layers.Dense(len(LABELS), name="scores"))
    centres = np.linspace(0, 1, len(LABELS))
    model.layers[-1].set_weights([np.tile(120 * centres / size**2, (size**2, 1)), -60 * centres**2])
    return model


def card(size=6, **changes):
    preprocessing = Preprocessing((size, size, 1), interpolation="bicubic").to_dict()
    return {"labels": LABELS, "preprocessing": preprocessing, "outputs": "logits", **changes}


def write_run(folder, size=6):
    """A run folder with the model and its card."""
    folder.mkdir(parents=True, exist_ok=True)
    save(brightness_model(size), folder / "model.keras")
    (folder / "card.json").write_text(json.dumps(card(size)))
    return folder


def write_pictures(folder):
    """Pictures of all brightnesses, PNG and JPEG, of several sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(3)
    for index in range(8):
        size = (6, 6) if index % 2 else (23, 17)
        levels = np.clip(36 * index + generator.normal(0, 9, (*size, 3)), 0, 255).astype("uint8")
        Image.fromarray(levels).save(folder / f"{index}.{'png' if index % 3 else 'jpg'}")
    return sorted(folder.iterdir())
