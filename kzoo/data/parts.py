"""Labelled examples in three parts, and how examples are held out for one."""

import math
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class LabelledData:
    """A data set of labelled examples in up to three parts.

    Attributes:
        name: the data set's name, or the folder's.
        labels: the names of the classes.
        train, validation, test: pairs of examples, `(n, ...)`, and class indices, int64 `(n,)`. `validation` is `None`
            where none was asked for.
        source: where it comes from.
        licence: its terms, in a few words.
    """

    name: str
    labels: tuple
    train: tuple
    validation: tuple | None
    test: tuple
    source: str
    licence: str

    @property
    def num_classes(self):
        """How many classes there are."""
        return len(self.labels)

    def only(self, classes):
        """The examples of some classes, numbered anew in the order given: half of a data set to transfer to the other.

        Args:
            classes: their names or indices, as a list or as one string with commas; nothing for all of them.

        Raises:
            ValueError: for a class that is not there, or one given twice.
        """
        if isinstance(classes, str):
            classes = [name.strip() for name in classes.split(",") if name.strip()]
        if not classes:
            return self
        names = {
            str(i): i for i in range(self.num_classes)
        }  # a class called 1 goes before the class of that index
        names |= {str(label): i for i, label in enumerate(self.labels)}
        if missing := [given for given in classes if str(given) not in names]:
            known = ", ".join(f"{i} {label}" for i, label in enumerate(self.labels))
            raise ValueError(f"the classes are {known}. Received: {missing[0]!r}")
        chosen = [names[str(given)] for given in classes]
        if len(set(chosen)) < len(chosen):
            raise ValueError(f"each class may be given once. Received: {list(classes)}")
        number = np.full(self.num_classes, -1)
        number[chosen] = np.arange(len(chosen))

        def kept(part):
            if part is None:
                return None
            mask = number[part[1]] >= 0
            return part[0][mask], number[part[1][mask]]

        parts = {name: kept(getattr(self, name)) for name in ("train", "validation", "test")}
        return replace(self, labels=tuple(self.labels[i] for i in chosen), **parts)

    def balanced(self, count, seed=0):
        """The same data with at most `count` training examples of each class, drawn by the seed."""
        x, y = self.train
        random = np.random.default_rng(seed)
        members = (
            random.permutation(np.flatnonzero(y == label))[:count] for label in range(self.num_classes)
        )
        chosen = np.concatenate(list(members))
        return replace(self, train=(x[chosen], y[chosen]))

    def take(self, samples, seed=0):
        """The same data with at most `samples` examples in each part, each class kept in proportion.

        Args:
            samples: a number for all parts, or one by name of part; `None` leaves a part as it is.
            seed: decides which are kept.
        """
        names = ("train", "validation", "test")
        limits = samples if isinstance(samples, dict) else dict.fromkeys(names, samples)
        if unknown := set(limits) - set(names):
            raise ValueError(f"the parts are {', '.join(names)}. Received: {sorted(unknown)}")

        def cut(part, limit):
            if part is None or limit is None or len(part[1]) <= limit:
                return part
            chosen = split(part[1], int(limit), seed)[1]
            return part[0][chosen], part[1][chosen]

        return replace(self, **{name: cut(getattr(self, name), limit) for name, limit in limits.items()})


@dataclass(frozen=True)
class ImageData(LabelledData):
    """A data set of labelled images: its parts' examples are uint8 `(n, h, w, c)`."""

    @property
    def image_shape(self):
        """`(h, w, c)` of every image."""
        return tuple(self.train[0].shape[1:])


def split(y, held_out, seed):
    """Indices to keep and to hold out, both ascending, so that each class is held out in proportion.

    Args:
        y: class indices, `(n,)`.
        held_out: a share below 1, of which at least one example comes, or a number of examples.
        seed: decides which, with NumPy's generator.

    Raises:
        ValueError: if nothing, or everything, would be held out.
    """
    y, n = np.asarray(y), len(y)
    count = max(1, round(held_out * n)) if 0 < held_out < 1 else held_out
    if count != int(count) or not 0 < count < n:
        raise ValueError(
            f"the part to hold out must leave some of {n} examples on both sides. Received: {held_out!r}"
        )
    generator = np.random.default_rng(seed)
    members = [generator.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    exact = [len(group) * int(count) / n for group in members]
    shares = [math.floor(share) for share in exact]
    emptied = [share + 1 == len(group) for share, group in zip(shares, members)]
    # Those furthest below their exact share give one more, a class's last example only in need.
    behind = sorted(range(len(exact)), key=lambda i: (emptied[i], shares[i] - exact[i]))
    for i in behind[: int(count) - sum(shares)]:
        shares[i] += 1
    held = np.sort(np.concatenate([group[:share] for group, share in zip(members, shares)]))
    return np.setdiff1d(np.arange(n), held), held
