"""Batches whose examples and labels are mixed with each other: Keras's `MixUp` and `CutMix` in the path of the data."""

import keras
import numpy as np

from kzoo.data.batches import Batches
from kzoo.data.policies import reseed


class MixedBatches(Batches):
    """`Batches` of `(x, y)` with one-hot labels, mixed by Keras layers that take both.

    Zhang et al. (2018), mixup, arXiv:1710.09412; Yun et al. (2019), CutMix, arXiv:1905.04899. Train with
    `CategoricalCrossentropy`. The layers are applied after preprocessing, seeded anew from `[seed, epoch, index]`, so
    that a resumed run sees the same batches; on another engine the same seed mixes otherwise.

    ```python
    train = MixedBatches(x, y, 128, layers=[keras.layers.MixUp(0.2)], num_classes=10, preprocess=prepare)
    ```

    Args:
        x: images, `(n, h, w, c)`.
        y: classes, `(n,)`.
        batch_size: examples per batch.
        layers: `keras.layers.MixUp`, `CutMix`, applied in turn.
        num_classes: number of classes.
        **kwargs: those of `Batches`.
    """

    def __init__(self, x, y, batch_size, *, layers, num_classes, **kwargs):
        super().__init__(x, y, batch_size, num_classes=num_classes, **kwargs)
        if self.y is None or self.y.ndim != 1 or self.y.dtype.kind not in "iu":
            raise ValueError(
                f"mixing needs one class per example. Received: y of shape {getattr(self.y, 'shape', None)}"
            )
        self.layers, self.num_classes = list(layers), num_classes

    def draw(self, epoch, index):
        x, y = super().draw(epoch, index)
        reseed(self.layers, np.random.default_rng([self.seed, epoch, index, 1]))
        mixed = {"images": np.asarray(x, "float32"), "labels": np.eye(self.num_classes, dtype="float32")[y]}
        for layer in self.layers:
            mixed = layer(mixed, training=True)
        return tuple(keras.ops.convert_to_numpy(mixed[name]) for name in ("images", "labels"))
