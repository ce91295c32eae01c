"""Batches: the same on every engine, from the seed and the epoch alone."""

import hashlib

import keras
import numpy as np
import pytest

from kzoo.data import Batches, Preprocessing, augment

N = 50


def digest(*arrays):
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array))
    return total.hexdigest()[:16]


def images(n=N):
    return np.random.default_rng(1).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)


class Recorded(Batches):
    """Notes what Keras was given: the epoch and a digest of the batch."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = []

    def __getitem__(self, index):
        batch = super().__getitem__(index)
        self.seen.append((self.epoch, digest(*batch)))
        return batch


def batches(kind=Recorded, **kwargs):
    options = dict(seed=7, preprocess=Preprocessing((8, 8, 3), 0.5, 0.25), augment=augment.shift_flip(2))
    return kind(images(), np.arange(N) % 10, 16, num_classes=10, **{**options, **kwargs})


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_an_epoch_follows_from_seed_and_epoch_alone(epoch):
    x, y, data = images(), np.arange(N) % 10, batches(Batches)
    data.epoch = epoch
    order = np.random.default_rng([7, epoch]).permutation(N)
    for i, (ours_x, ours_y) in enumerate(data):
        chosen = order[16 * i : 16 * (i + 1)]
        theirs = augment.shift_flip(2)(np.random.default_rng([7, epoch, i]), x[chosen])
        np.testing.assert_allclose(ours_x, (theirs / 255 - 0.5) / 0.25, atol=1e-6)
        np.testing.assert_array_equal(ours_y, y[chosen])


class Line(keras.callbacks.Callback):
    """Sets the epoch, as the recipes' callback does."""

    def __init__(self, data):
        super().__init__()
        self.data = data

    def on_epoch_begin(self, epoch, logs=None):
        self.data.epoch = epoch


def tiny():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=False)
    return model


def trained_on(data, epochs):
    """What `fit` drew in each epoch, without what Keras drew to learn the shapes (before the first)."""
    reference = batches()
    seen = {}
    for epoch in epochs:
        reference.epoch = epoch
        for i in range(len(reference)):
            reference[i]
        seen[epoch] = [entry for entry in data.seen if entry[0] == epoch][-len(reference) :]
    return seen, {epoch: [e for e in reference.seen if e[0] == epoch] for epoch in epochs}


@pytest.mark.parametrize("shuffle", [True, False])  # Keras's own, of the indices, by default on
def test_fit_sees_each_epochs_batches_in_order(shuffle):
    data = batches()
    tiny().fit(data, epochs=3, verbose=0, shuffle=shuffle)
    seen, expected = trained_on(data, range(3))
    assert seen == expected and data.epoch == 3


def test_fit_resumed_at_an_epoch_sees_the_batches_of_that_epoch():
    data = batches()
    tiny().fit(data, epochs=4, initial_epoch=2, verbose=0, callbacks=[Line(data)])
    seen, expected = trained_on(data, range(2, 4))
    assert seen == expected


def test_fit_gives_the_losses_of_softmax_regression_by_hand():
    w, bias, theirs = np.linspace(-0.1, 0.1, 1920).reshape(192, 10), np.zeros(10), []
    model, data = tiny(), batches(Batches)
    model.layers[-1].set_weights([w, bias])
    for epoch in range(3):
        total = 0
        for i in range(len(data)):
            x, y = data.draw(epoch, i)
            x = x.reshape(len(x), -1).astype("float64")
            scores = x @ w + bias
            p = np.exp(scores - scores.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            total -= np.log(p[np.arange(len(y)), y]).sum()
            error = (p - np.eye(10)[y]) / len(y)
            w, bias = w - 0.01 * x.T @ error, bias - 0.01 * error.sum(0)
        theirs.append(total / N)
    ours = model.fit(data, epochs=3, verbose=0).history["loss"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_an_epoch_holds_every_example_once():
    data = Batches(np.arange(N), np.arange(N), 16)
    assert data.num_examples == N and [len(x) for x, _ in data] == [16, 16, 16, 2]
    assert sorted(np.concatenate([x for x, _ in data])) == list(range(N))
    cut = Batches(np.arange(N), np.arange(N), 16, drop_last=True)
    assert len(cut) == 3 and cut.num_examples == 48
    still = Batches(np.arange(N), None, 16, shuffle=False)
    np.testing.assert_array_equal(np.concatenate([x for (x,) in still]), np.arange(N))


def test_seed_and_epoch_change_the_order():
    first, other = Batches(np.arange(N), None, N), Batches(np.arange(N), None, N, seed=1)
    assert not np.array_equal(first[0][0], other[0][0])
    before = first[0][0]
    first.epoch = 1
    assert not np.array_equal(before, first[0][0])
    first.epoch = 0
    np.testing.assert_array_equal(before, first[0][0])
    np.testing.assert_array_equal(before, np.random.default_rng([0, 0]).permutation(N))


def test_labels_are_integers_and_checked():
    _, y = Batches(np.zeros(3), np.array([0, 1, 2]), 3, num_classes=3)[0]
    assert y.dtype == np.int32
    with pytest.raises(ValueError, match=r"\[0, 10\); 2 of 4 do not. Received: label 10 at index 1"):
        Batches(np.zeros(4), np.array([0, 10, 3, -1]), 2, num_classes=10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(x=np.zeros(3), y=np.zeros(2), batch_size=1), "one label per example"),
        (dict(x=np.zeros(3), y=np.zeros(3), batch_size=0), "batch_size"),
        (dict(x=np.zeros(0), y=np.zeros(0), batch_size=4), "fill a batch"),
        (dict(x=np.zeros(3), y=np.zeros(3), batch_size=4, drop_last=True), "fill a batch"),
    ],
)
def test_what_makes_no_batches_is_refused(arguments, message):
    with pytest.raises(ValueError, match=rf"{message}.*Received: "):
        Batches(**arguments)


def test_shifts_move_the_picture_and_flips_mirror_it():
    x = images(200)
    shifted = augment.shift_flip(2, flip=False)(np.random.default_rng(0), x)
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    places = set()
    for before, after in zip(padded, shifted):
        found = [
            (i, j) for i in range(5) for j in range(5) if np.array_equal(before[i : i + 8, j : j + 8], after)
        ]
        assert len(found) == 1
        places.update(found)
    assert len(places) == 25  # every shift occurs
    flipped = augment.shift_flip(0)(np.random.default_rng(0), x)
    mirrored = [np.array_equal(after, before[:, ::-1]) for before, after in zip(x, flipped)]
    kept = [np.array_equal(after, before) for before, after in zip(x, flipped)]
    assert all(m != k for m, k in zip(mirrored, kept)) and 70 < sum(mirrored) < 130
    with pytest.raises(ValueError, match="max_shift"):
        augment.shift_flip(-1)
