"""Batches of image files, read ahead by threads: for folders that memory does not hold."""

import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kzoo.data.batches import Batches


class FileBatches(Batches):
    """As `Batches`, but of files: each batch is decoded, resized and cropped by threads while the model works.

    The decoder and the resizer release Python's lock, so that threads are as good as processes. Order and augmentation
    follow from the seed and the epoch alone, however many threads there are.

    Args:
        paths: of the images.
        y: labels, `(n, ...)`, or `None`.
        batch_size: examples per batch.
        preprocess: a `kzoo.data.Preprocessing`, whose `read_image` reads a file and which is applied last.
        workers: threads; by default one per core.
        ahead: how many batches are read while one is used.
        **options: those of `Batches`.

    Raises:
        CorruptImageError: when a batch is asked for, if a file of it is not a whole image.
    """

    def __init__(self, paths, y, batch_size, *, preprocess, workers=None, ahead=2, **options):
        super().__init__(np.asarray([str(p) for p in paths]), y, batch_size, preprocess=preprocess, **options)
        workers = os.cpu_count() if workers is None else workers
        if workers < 1 or ahead < 0:
            raise ValueError(
                f"there must be a thread, and nothing can be read ahead of less than 0 batches. "
                f"Received: workers={workers}, ahead={ahead}"
            )
        self.threads, self.ahead = workers, ahead
        self._pool = None
        self._reading = OrderedDict()  # (epoch, index): the futures of its images

    def draw(self, epoch, index):
        for coming in range(index, min(index + self.ahead + 1, len(self))):
            self._begin(epoch, coming)
        images = np.stack([future.result() for future in self._reading.pop((epoch, index))])
        chosen = self.order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        if self.augment is not None:
            images = self.augment(np.random.default_rng([self.seed, epoch, index]), images)
        images = self.preprocess(images)
        return (images,) if self.y is None else (images, self.y[chosen])

    def _begin(self, epoch, index):
        if (epoch, index) in self._reading:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="kzoo-images")
        chosen = self.order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        read = self.preprocess.read_image
        self._reading[epoch, index] = [self._pool.submit(read, path) for path in self.x[chosen]]
        while len(self._reading) > self.ahead + 1:  # of an epoch that was left
            for future in self._reading.popitem(last=False)[1]:
                future.cancel()
