"""What was lived through, kept to learn from: a ring of transitions, drawn from evenly or by priority.

A file of it is whole or not there, and says by a digest and its length whether it is what was written.
"""

import hashlib
import json
from collections import deque

import numpy as np

from kzoo.files import replacing
from kzoo.ops.returns import n_step_targets

KIND = "kzoo replay 1"


class Replay:
    """The last `capacity` transitions, drawn evenly.

    Args:
        capacity: how many are kept.
        observation_shape, dtype: of an observation; both ends of each transition are kept.
        n_step: how many steps a transition spans.
        discount: γ.
        num_environments: whose steps `add` is given.

    Source: Lin (1992), Self-improving reactive agents based on reinforcement learning, planning and teaching.
    """

    def __init__(
        self, capacity, observation_shape, dtype="float32", *, n_step=1, discount=0.99, num_environments=1
    ):
        if not capacity > 0 or not n_step > 0:
            raise ValueError(f"capacity and n_step must be above 0. Received: {capacity=}, {n_step=}")
        self.capacity, self.n_step, self.discount = capacity, n_step, discount
        self.rows = {
            "observations": np.zeros((capacity, *observation_shape), dtype),
            "actions": np.zeros(capacity, "int32"),
            "rewards": np.zeros(capacity, "float32"),
            "next_observations": np.zeros((capacity, *observation_shape), dtype),
            "discounts": np.zeros(capacity, "float32"),
        }
        self.length = self.place = 0
        self._pending = [deque() for _ in range(num_environments)]

    def __len__(self):
        return self.length

    # ------------------------------------------------------------------ writing

    def add(self, observations, actions, rewards, following, terminated, ended):
        """One step of each environment.

        Args:
            observations: `(n, …)`, what was seen before.
            actions, rewards: `(n,)`.
            following: `(n, …)`, what was seen after: at an end the episode's own last observation.
            terminated, ended: boolean `(n,)`; ended but not terminated is truncated, and a value follows.
        """
        for i, pending in enumerate(self._pending):
            pending.append((observations[i], actions[i], rewards[i]))
            if len(pending) == self.n_step or ended[i]:
                self._write(pending, following[i], terminated[i])
            if ended[i]:
                while pending:
                    self._write(pending, following[i], terminated[i])

    def _write(self, pending, following, terminated):
        """The oldest pending step as a transition."""
        if not pending:
            return
        observation, action, _ = pending[0]
        reward, discount = n_step_targets([step[2] for step in pending], terminated, self.discount)
        row = (observation, action, reward, following, discount)
        for values, value in zip(self.rows.values(), row, strict=True):
            values[self.place] = value
        pending.popleft()
        self._written(self.place)
        self.place = (self.place + 1) % self.capacity
        self.length = min(self.length + 1, self.capacity)

    def _written(self, place):
        """What else is to be done of a new row."""

    # ------------------------------------------------------------------ reading

    def sample(self, batch_size, rng, correction=0.0):
        """A batch as `kzoo.learners.DQN` takes it, and the places of its rows.

        Args:
            batch_size: b.
            rng: a NumPy generator.
            correction: β, of prioritised replay.
        """
        self._check_sample(batch_size)
        return self._batch(rng.integers(0, self.length, batch_size), np.ones(batch_size, "float32"))

    def renew(self, places, errors):
        """Takes notice of the errors of a batch: new priorities, where there are any."""

    def _check_sample(self, batch_size):
        if not self.length:
            raise ValueError(f"the replay buffer is empty: add transitions first. Received: {batch_size=}")

    def _batch(self, places, weights):
        return {name: values[places] for name, values in self.rows.items()} | {"weights": weights}, places

    # ------------------------------------------------------------------ files

    def arrays(self):
        """All that a file keeps, by name."""
        pending = [step for steps in self._pending for step in steps]
        observations = [step[0] for step in pending] or self.rows["observations"][:0]
        return {
            **{name: values[: self.length] for name, values in self.rows.items()},
            "pending_counts": np.array([len(steps) for steps in self._pending], "int64"),
            "pending_observations": np.asarray(observations, self.rows["observations"].dtype),
            "pending_actions": np.array([step[1] for step in pending], "int32"),
            "pending_rewards": np.array([step[2] for step in pending], "float64"),
            "place": np.array(self.place, "int64"),
        }

    def restore(self, arrays):
        """Takes up what `arrays` gave."""
        self.length, self.place = len(arrays["actions"]), int(arrays["place"].item())
        for name, values in self.rows.items():
            values[: self.length] = arrays[name]
        steps = iter(
            zip(arrays["pending_observations"], arrays["pending_actions"], arrays["pending_rewards"])
        )
        self._pending = [deque(next(steps) for _ in range(count)) for count in arrays["pending_counts"]]

    def save(self, path):
        """Writes the buffer, whole or not at all: a line of JSON with digest, shapes and types, then the bytes."""
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays().items()}
        digest = hashlib.sha256()
        for array in arrays.values():
            digest.update(array.reshape(-1).view("uint8"))
        header = {
            "kind": KIND,
            "settings": self._settings(),
            "length": self.length,
            "sha256": digest.hexdigest(),
            "arrays": {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()},
        }
        with replacing(path) as aside, open(aside, "wb") as file:
            file.write(json.dumps(header).encode() + b"\n")
            for array in arrays.values():
                file.write(array.reshape(-1).view("uint8"))

    def load(self, path):
        """Reads what `save` wrote into this buffer.

        Raises:
            ValueError: if the file is cut off, changed, or of another kind of buffer.
        """
        with open(path, "rb") as file:
            header = self._header(path, file.readline())
            digest, arrays = hashlib.sha256(), {}
            for name, (dtype, shape) in header["arrays"].items():
                array = np.empty(shape, dtype)
                if file.readinto(array.reshape(-1).view("uint8")) != array.nbytes:
                    raise ValueError(f"the replay file is cut off, it is not used. Received: {str(path)!r}")
                digest.update(array.reshape(-1).view("uint8"))
                arrays[name] = array
        if digest.hexdigest() != header["sha256"] or len(arrays["actions"]) != header["length"]:
            raise ValueError(f"the replay file was changed, it is not used. Received: {str(path)!r}")
        self.restore(arrays)

    def _header(self, path, line):
        try:
            header = json.loads(line)
            settings = header["settings"] if header["kind"] == KIND else None
        except (ValueError, KeyError, TypeError):
            settings = None
        if settings is None:
            raise ValueError(f"this is no whole file of a replay buffer. Received: {str(path)!r}")
        if settings != json.loads(json.dumps(self._settings())):
            raise ValueError(
                f"the replay file is of another buffer. Received: {settings}, not {self._settings()}"
            )
        return header

    def _settings(self):
        values = self.rows["observations"]
        return {
            "class": type(self).__name__,
            "capacity": self.capacity,
            "observation": [values.dtype.str, list(values.shape[1:])],
            "n_step": self.n_step,
            "discount": self.discount,
            "environments": len(self._pending),
        }


class PrioritisedReplay(Replay):
    """The last `capacity` transitions, drawn in proportion to `(|error| + ε)^α`.

    What is drawn oftener counts less: each row's weight is `(N P)^-β` over the largest of the batch. New rows have the
    highest priority that there was.

    Source: Schaul et al. (2016), arXiv:1511.05952, section 3.3.

    Args:
        capacity, observation_shape, dtype, n_step, discount, num_environments: as of `Replay`.
        exponent: α, 0 for even drawing.
        epsilon: ε, so that nothing is forgotten.
    """

    def __init__(self, *args, exponent=0.6, epsilon=1e-3, **kwargs):
        super().__init__(*args, **kwargs)
        self.exponent, self.epsilon = exponent, epsilon
        self.tree, self.highest = SumTree(self.capacity), 1.0

    def _written(self, place):
        self.tree.assign(np.array([place]), np.array([self.highest]))

    def sample(self, batch_size, rng, correction=0.4):
        self._check_sample(batch_size)
        # One from each of b equal parts of the sum.
        shares = (np.arange(batch_size) + rng.random(batch_size)) / batch_size
        places = np.minimum(self.tree.find(shares * self.tree.total), self.length - 1)
        weights = (self.length * self.tree.of(places) / self.tree.total) ** -correction
        return self._batch(places, (weights / weights.max()).astype("float32"))

    def renew(self, places, errors):
        priorities = (np.abs(np.asarray(errors, "float64")) + self.epsilon) ** self.exponent
        self.highest = max(self.highest, float(priorities.max()))
        self.tree.assign(places, priorities)

    def arrays(self):
        priorities = self.tree.of(np.arange(self.length))
        return super().arrays() | {"priorities": priorities, "highest": np.array(self.highest)}

    def restore(self, arrays):
        super().restore(arrays)
        self.tree, self.highest = SumTree(self.capacity), float(arrays["highest"].item())
        self.tree.assign(np.arange(self.length), arrays["priorities"])


class SumTree:
    """Sums of halves of halves: finds the place where a running sum passes a value in log n steps, for many at once."""

    def __init__(self, capacity):
        self.leaves = 1 << max(0, (capacity - 1).bit_length())
        self.sums = np.zeros(2 * self.leaves)

    @property
    def total(self):
        return self.sums[1]

    def of(self, places):
        """The values at places `(n,)`."""
        return self.sums[self.leaves + np.asarray(places)]

    def assign(self, places, values):
        """Sets the values at places `(n,)`; of a place that is there twice, the last."""
        nodes = self.leaves + np.asarray(places)
        self.sums[nodes] = values
        while nodes[0] > 1:
            nodes = np.unique(nodes >> 1) if len(nodes) > 1 else nodes >> 1
            self.sums[nodes] = self.sums[2 * nodes] + self.sums[2 * nodes + 1]

    def find(self, values):
        """The places `(n,)` where the running sum passes the values, which lie from 0 up to the total."""
        values, nodes = np.array(values, "float64"), np.ones(len(values), "int64")
        while nodes[0] < self.leaves:
            nodes = 2 * nodes
            left = self.sums[nodes]
            right = values >= left
            values -= np.where(right, left, 0.0)
            nodes += right
        return nodes - self.leaves
