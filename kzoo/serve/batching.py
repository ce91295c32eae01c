"""Adaptive batching: requests that wait while the model runs go through it together.

Every version of a model has one queue and a few worker threads. A worker takes the oldest request and all those
waiting whose tensors differ from it in the first size only, up to `max_batch_size` rows, and hands each its
rows of the outputs. With a timeout of zero nothing ever waits for company: a lone request runs at once, and
batches grow by themselves as load does.
"""

import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np

from kzoo.serve.errors import ServeError


@dataclass(frozen=True)
class BatchingOptions:
    """How requests are batched.

    Attributes:
        max_batch_size: rows of a batch. A larger request runs by itself.
        timeout: seconds that a request may wait for others to fill its batch; 0 waits for none.
        max_queue: requests waiting, per version; more are refused with UNAVAILABLE.
        threads: batches of a version that run at once.
    """

    max_batch_size: int = 32
    timeout: float = 0.0
    max_queue: int = 1000
    threads: int = 1

    def __post_init__(self):
        if self.max_batch_size < 1 or self.max_queue < 1 or self.threads < 1 or self.timeout < 0:
            raise ValueError(
                f"max_batch_size, max_queue and threads must be at least 1 and timeout at least 0. Received: {self}"
            )


@dataclass
class _Task:
    signature: object
    arrays: dict
    rows: int
    deadline: float | None
    arrived: float
    done: threading.Event = field(default_factory=threading.Event)
    outputs: dict | None = None
    error: Exception | None = None
    given_up: bool = False

    def finish(self, outputs=None, error=None):
        self.outputs, self.error = outputs, error
        self.done.set()

    @property
    def late(self):
        return self.given_up or (self.deadline is not None and time.monotonic() >= self.deadline)


class Batcher:
    """The queue of one version.

    Args:
        run: a function of a signature and arrays by name that gives outputs by name.
        options: a `BatchingOptions`.
        name: what its threads are called.
    """

    def __init__(self, run, options, name="batching"):
        self._run = run
        self._options = options
        self._groups = OrderedDict()  # what may be batched together: tasks, oldest first
        self._waiting = 0
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{index}", daemon=True)
            for index in range(options.threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, signature, arrays, deadline=None):
        """Outputs by name, when their turn has come.

        Raises:
            ServeError: DEADLINE_EXCEEDED if they do not come in time, UNAVAILABLE if too many wait.
        """
        rows = len(next(iter(arrays.values())))
        task = _Task(signature, arrays, rows, deadline, time.monotonic())
        key = (signature.name, *((name, a.shape[1:], a.dtype) for name, a in sorted(arrays.items())))
        with self._changed:
            if self._closed:
                raise ServeError("UNAVAILABLE", "this version of the model is being unloaded")
            if self._waiting >= self._options.max_queue:
                raise ServeError(
                    "UNAVAILABLE",
                    "The batch scheduling queue to which this task was submitted is full. "
                    f"Received: {self._waiting} requests already waiting",
                )
            self._groups.setdefault(key, deque()).append(task)
            self._waiting += 1
            self._changed.notify_all()
        if not task.done.wait(None if deadline is None else max(0.0, deadline - time.monotonic())):
            task.given_up = True
            raise ServeError("DEADLINE_EXCEEDED", "the deadline passed before the model had answered")
        if task.error is not None:
            raise task.error
        return task.outputs

    def close(self):
        """Answers what is waiting, then stops the workers."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self):
        while True:
            with self._changed:
                batch = self._next_batch()
            if batch is None:
                return
            self._answer([task for task in batch if not self._dropped(task)])

    def _dropped(self, task):
        if task.late:
            task.finish(error=ServeError("DEADLINE_EXCEEDED", "the deadline passed before the model ran"))
            return True
        return False

    def _next_batch(self):
        """The next tasks to run together, or `None` when closed and empty. The lock is held."""
        while True:
            while not self._groups:
                if self._closed:
                    return None
                self._changed.wait()
            key, tasks = min(self._groups.items(), key=lambda item: item[1][0].arrived)
            patience = tasks[0].arrived + self._options.timeout - time.monotonic()
            full = sum(task.rows for task in tasks) >= self._options.max_batch_size
            if patience <= 0 or full or self._closed:
                break
            self._changed.wait(patience)
        batch, rows = [], 0
        while tasks and (not batch or rows + tasks[0].rows <= self._options.max_batch_size):
            batch.append(tasks.popleft())
            rows += batch[-1].rows
        if not tasks:
            del self._groups[key]
        else:
            self._changed.notify()
        self._waiting -= len(batch)
        return batch

    def _answer(self, batch):
        if len(batch) > 1 and self._answer_together(batch):
            return
        for task in batch:
            try:
                task.finish(self._run(task.signature, task.arrays))
            except Exception as error:  # whatever it is, the one who asked must hear of it
                task.finish(error=error)

    def _answer_together(self, batch):
        """Runs the batch as one. If that fails (one of them may have spoilt it for all) the answer is False."""
        signature = batch[0].signature
        try:
            joined = {
                name: np.concatenate([task.arrays[name] for task in batch]) for name in signature.inputs
            }
            outputs = self._run(signature, joined)
        except Exception:  # each is run by itself then, and gets its own error
            return False
        total = sum(task.rows for task in batch)
        if any(array.ndim == 0 or len(array) != total for array in outputs.values()):
            return False  # the rows are not independent after all
        start = 0
        for task in batch:
            task.finish({name: array[start : start + task.rows] for name, array in outputs.items()})
            start += task.rows
        return True
