"""LoRA: a trained network is fine-tuned through small matrices beside its own; kept alone, put on again, merged.

Hu et al. (2022), LoRA, arXiv:2106.09685. The layers' part, `W + alpha / rank · A B`, is Keras's own `enable_lora`.

```python
add_adapters(model, rank=8)             # only these are trained now
model.fit(...)
save_adapters(model, "adapters.npz")    # some hundred kilobytes
load_adapters(base, "adapters.npz")     # on the model that they were made for
plain = merged(base)                    # without adapters, as fast as before
```
"""

import json
import re

import keras
import numpy as np
from keras import ops

from kzoo.files import replacing
from kzoo.layers.arguments import check_whole

LAYERS = r"attention/|mlp"  # of which dense layers have adapters by default, those of `gpt` and `bert`


def _dense(model):
    """Path to each dense layer, also those inside others."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    return {layer.path: layer for layer in layers}


def _adapted(model):
    found = {path: layer for path, layer in _dense(model).items() if layer.lora_enabled}
    if not found:
        raise ValueError(
            f"the model has no adapters: add_adapters gives it some. Received: model={model.name!r}"
        )
    return found


def add_adapters(model, rank=8, *, alpha=None, layers=LAYERS, also=()):
    """Gives dense layers adapters, and freezes all else. A model that was compiled must be compiled again.

    The outputs stay what they are: B begins with zeros.

    Args:
        model: a built model.
        rank: of A and B.
        alpha: what A B is multiplied by, over the rank; by default the rank.
        layers: a regular expression that is found in the paths of the layers to adapt.
        also: names of layers that are trained in full beside them, such as a new head.

    Raises:
        ValueError: if no layer is meant, or one has adapters already.
    """
    check_whole(rank=rank)
    chosen = [layer for path, layer in _dense(model).items() if re.search(layers, path)]
    if not chosen:
        raise ValueError(
            f"no dense layer has such a path. Received: layers={layers!r}, of {sorted(_dense(model))}"
        )
    for variable in model.trainable_variables:
        variable.trainable = False
    for layer in chosen:
        layer.enable_lora(rank, lora_alpha=alpha)
    for name in also:
        for variable in model.get_layer(name).variables:
            variable.trainable = True


def save_adapters(model, path):
    """Writes the adapters alone, as `.npz`.

    Raises:
        ValueError: if the model has none.
    """
    found = _adapted(model)
    told = {name: dict(rank=layer.lora_rank, alpha=layer.lora_alpha) for name, layer in found.items()}
    arrays = {}
    for name, layer in found.items():
        arrays |= {f"{name}.{part}": ops.convert_to_numpy(matrix) for part, matrix in _matrices(layer)}
    with replacing(path) as aside, open(aside, "wb") as file:
        np.savez(file, told=json.dumps(told), **arrays)


def load_adapters(model, path):
    """Puts saved adapters on a model of the same layers, which may have adapters of the same ranks.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if they belong to other layers. Nothing is changed then.
    """
    with np.load(path) as arrays:
        told, arrays = json.loads(str(arrays["told"])), dict(arrays)
    layers = _dense(model)
    for name, own in told.items():
        layer = layers.get(name)
        shapes = (
            None
            if layer is None
            else ((layer.kernel.shape[0], own["rank"]), (own["rank"], layer.kernel.shape[1]))
        )
        if shapes != tuple(arrays[f"{name}.{part}"].shape for part in "ab"):
            raise ValueError(
                f"the adapters of {path} are of another model. Received: {model.name!r}, for {name}"
            )
        if layer.lora_enabled and layer.lora_rank != own["rank"]:
            raise ValueError(
                f"the model has adapters of another rank. Received: rank={own['rank']} for {name}, which has "
                f"{layer.lora_rank}"
            )
    for variable in model.trainable_variables:
        variable.trainable = False
    for name, own in told.items():
        layer = layers[name]
        if not layer.lora_enabled:
            layer.enable_lora(own["rank"], lora_alpha=own["alpha"])
        layer.lora_alpha = own["alpha"]
        for part, matrix in _matrices(layer):
            matrix.assign(arrays[f"{name}.{part}"])
            matrix.trainable = True


def merged(model):
    """The model with its adapters in its own matrices: a new one, all of which can be trained.

    Raises:
        ValueError: if it has none, or is no functional model.
    """
    adapted = _adapted(model)
    plain = type(model).from_config(_without_adapters(model.get_config()))
    values = {variable.path: variable for variable in model.variables}
    for variable in plain.variables:
        variable.assign(values[variable.path])
    for path, layer in _dense(plain).items():
        if path in adapted:
            layer.kernel.assign(adapted[path].kernel)  # with lora_alpha / rank · A B
    return plain


def _matrices(layer):
    return ("a", layer.lora_kernel_a), ("b", layer.lora_kernel_b)


def _without_adapters(config):
    """A configuration in which no layer asks for adapters, nor is frozen by them."""
    if isinstance(config, dict):
        return {key: _without_adapters(value) for key, value in config.items() if not key.startswith("lora_")}
    if isinstance(config, list | tuple):
        return type(config)(_without_adapters(value) for value in config)
    return config
