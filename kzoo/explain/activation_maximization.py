"""The image that a unit answers to most: gradient ascent on the pixels.

Erhan et al. (2009), Visualizing higher-layer features of a deep network; Simonyan et al. (2014), arXiv:1312.6034;
shifts and steps of normed gradients after Olah et al. (2017), Feature visualization, distill.pub.

Shapes: n units, b batch, h height, w width, c channels.
"""

import keras
import numpy as np
from keras import ops

from kzoo import autodiff


def maximize_activation(
    model, units, layer=None, *, steps=64, step_size=0.05, shift=2, smoothness=1.0, start=None, seed=0
):
    """Images that make units of a layer answer strongly.

    Each step moves the image by `step_size` times its gradient over the gradient's root mean square. Before it the
    image is shifted by up to `shift` pixels, so that what is found does not hang on single pixels; differences between
    neighbouring pixels are held down by `smoothness`.

    Args:
        model: a functional model of images of a fixed size.
        units: numbers of classes, or of channels where `layer` gives maps, whose mean is then meant.
        layer: the name of the layer; by default the model's output.
        steps: of ascent.
        step_size: of the pixels as the model takes them: normalised to deviation 1, say.
        shift: in pixels; 0 for none.
        smoothness: weight of the mean squared difference between neighbours.
        start: images `(n, h, w, c)` to start from; by default faint noise.
        seed: of the noise and the shifts.

    Returns:
        Images `(n, h, w, c)` and each unit's activation before the first step and after the last, `(n, 2)`: NumPy.

    Raises:
        ValueError: if the model's image size is free, or there is no such layer or unit.
    """
    shape = model.input_shape[1:]
    if len(shape) != 3 or None in shape:
        raise ValueError(
            f"the model must take images of a fixed size. Received: input_shape={model.input_shape}"
        )
    output = model.output if layer is None else model.get_layer(layer).output
    count, units = output.shape[-1], [int(unit) for unit in units]
    if not units or not all(0 <= unit < count for unit in units):
        raise ValueError(f"units must lie between 0 and {count - 1}. Received: units={units}")
    part = model if layer is None else keras.Model(model.input, output)
    random = np.random.default_rng(seed)
    images = 0.1 * random.normal(size=(len(units), *shape)) if start is None else np.array(start)
    images = images.astype("float32")
    chosen = ops.convert_to_tensor(np.eye(count, dtype="float32")[units])  # (n, units of the layer)

    def answers(x):
        y = part(x, training=False)
        y = ops.mean(y, axis=tuple(range(1, len(y.shape) - 1))) if len(y.shape) > 2 else y
        return ops.sum(y * chosen, axis=-1)

    def objective(x):
        steps_down, steps_right = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
        rough = ops.mean(ops.square(steps_down)) + ops.mean(ops.square(steps_right))
        return ops.sum(answers(x)) - smoothness * len(units) * rough

    ascend = autodiff.grad(objective)
    before = ops.convert_to_numpy(answers(ops.convert_to_tensor(images)))
    for _ in range(steps):
        moved = random.integers(-shift, shift + 1, 2) if shift else (0, 0)
        turned = np.roll(images, moved, axis=(1, 2))
        gradient = ops.convert_to_numpy(ascend(ops.convert_to_tensor(turned)))
        gradient = np.roll(gradient, -np.asarray(moved), axis=(1, 2))
        size = np.sqrt(np.mean(np.square(gradient), axis=(1, 2, 3), keepdims=True))
        images = images + step_size * gradient / np.maximum(size, 1e-12)
    after = ops.convert_to_numpy(answers(ops.convert_to_tensor(images)))
    return images, np.stack([before, after], axis=1)
