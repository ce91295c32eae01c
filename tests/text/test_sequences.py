"""Batches of sequences and of windows: from the seed and the epoch alone, in few shapes."""

import keras
import numpy as np
import pytest

from kzoo.data import SequenceBatches, WindowBatches
from kzoo.data.sequences import IGNORED

DRAW = np.random.default_rng(0)
SEQUENCES = [DRAW.integers(1, 9, n).astype("int32") for n in DRAW.integers(1, 31, 103)]
FOLLOWING = [np.append(row[1:], 7) for row in SEQUENCES]
LABELS = np.arange(103) % 3
TEXT = DRAW.integers(0, 9, 205)


def epochs_of(data, epochs=(0, 1)):
    return [[data.draw(epoch, i) for i in range(len(data))] for epoch in epochs]


@pytest.mark.once
def test_an_epoch_holds_every_sequence_once_and_pads_it():
    data = SequenceBatches(SEQUENCES, LABELS, 8, lengths=(8, 16, 32), pad=9)
    for batches in epochs_of(data):
        assert [len(x) for x, _ in batches] == [8] * 12 + [7]
        assert {x.shape[1] for x, _ in batches} == {8, 16, 32}
        found = sorted(tuple(row[row != 9]) for x, _ in batches for row in x)
        assert found == sorted(map(tuple, SEQUENCES))
        for x, _ in batches:
            real = (x != 9).sum(1)
            assert (np.argsort(x == 9, axis=1, kind="stable")[:, 0] == 0).all()  # filled up at the end
            assert real.max() > {8: 0, 16: 8, 32: 16}[x.shape[1]]  # to no more than the longest needs


@pytest.mark.once
def test_batches_are_of_about_one_length():
    data = SequenceBatches(SEQUENCES, LABELS, 8, lengths=4)
    assert len(data.lengths) == 4 and data.lengths[-1] == 30
    (batches,) = epochs_of(data, [0])
    padded = sum(x.size for x, _ in batches)
    assert padded < 0.8 * 103 * 30 and len({x.shape for x, _ in batches[:-1]}) <= 4


@pytest.mark.once
def test_seed_and_epoch_alone_decide_the_batches():
    first, again, other = (SequenceBatches(SEQUENCES, FOLLOWING, 8, seed=seed) for seed in (3, 3, 4))
    again.draw(5, 2)  # what was drawn before does not matter
    for epoch in (0, 1, 7):
        for i in range(len(first)):
            for a, b in zip(first.draw(epoch, i), again.draw(epoch, i)):
                np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.order(0), first.order(1))
    assert not np.array_equal(first.order(0), other.order(0))
    again.epoch = 7
    np.testing.assert_array_equal(again[0][0], first.draw(7, 0)[0])


@pytest.mark.once
def test_labels_of_each_place_are_padded_with_what_does_not_count():
    data = SequenceBatches(SEQUENCES, FOLLOWING, 8, shuffle=False, lengths=(32,))
    x, y = data.draw(0, 1)
    assert x.shape == y.shape == (8, 32)
    for row, labels, sequence, following in zip(x, y, SEQUENCES[8:], FOLLOWING[8:]):
        n = len(sequence)
        assert row[:n].tolist() == sequence.tolist() and not row[n:].any()
        assert labels[:n].tolist() == following.tolist() and (labels[n:] == IGNORED).all()


@pytest.mark.once
def test_masks_and_several_inputs_have_one_length():
    longer = [np.append(row, [8, 8]) for row in SEQUENCES]
    pairs = SequenceBatches({"source": SEQUENCES, "target": longer}, longer, 8, mask=True, lengths=(12, 32))
    x, y = pairs.draw(0, 0)
    assert set(x) == {"source", "target", "source_mask", "target_mask"}
    assert len({array.shape for array in (*x.values(), y)}) == 1
    np.testing.assert_array_equal(x["target_mask"].sum(1), x["source_mask"].sum(1) + 2)
    single, _ = SequenceBatches(SEQUENCES, LABELS, 8, mask=True).draw(0, 0)
    np.testing.assert_array_equal(single["mask"], single["tokens"] > 0)
    assert single["mask"].dtype == bool


@pytest.mark.once
def test_longer_sequences_are_cut_if_asked():
    data = SequenceBatches(SEQUENCES, FOLLOWING, 8, lengths=(4, 10), cut=True, shuffle=False)
    x, y = data.draw(0, 0)
    assert x.shape == y.shape == (8, 10)
    long = next(i for i, row in enumerate(SEQUENCES[:8]) if len(row) > 10)
    assert x[long].tolist() == SEQUENCES[long][:10].tolist()


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(x=[[1], [], [2], []]), "must not be empty.*2 empty of tokens, the first in example 1"),
        (dict(x=[[1, 2, 3], [1]], lengths=(2,)), "longer than all lengths.*Received: 3 in example 0"),
        (dict(x=[[1, 2], [1]], y=[[1, 2], [1, 2]]), "as long as those of an input"),
        (dict(x={"a": [[1]], "b": [[1], [2]]}), "one sequence per example. Received: {'a': 1, 'b': 2}"),
        (dict(x=[[1], [2]], y=[0]), "one label per example"),
        (dict(x=[[1], [2]], y=[0, 3], num_classes=3), "label 3 at index 1"),
        (dict(x=[[1], [2]], lengths=(3, 3)), "lengths must ascend"),
        (dict(x=[[1], [2]], lengths=0), "a length to pad to"),
        (dict(x=[]), "fill a batch"),
    ],
)
def test_what_makes_no_batches_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SequenceBatches(**{"y": None, "batch_size": 2, **arguments})


@pytest.mark.once
def test_windows_begin_anywhere_and_their_labels_are_one_ahead():
    data = WindowBatches(TEXT, 10, 4, steps=50, seed=2)
    assert len(data) == 50 and data.num_examples == 200
    begins = set()
    for i in range(50):
        x, y = data.draw(3, i)
        assert x.shape == y.shape == (4, 10)
        first = np.random.default_rng([2, 3, i]).integers(0, 195, 4)
        for row, labels, begin in zip(x, y, first):
            assert row.tolist() == TEXT[begin : begin + 10].tolist()
            assert labels.tolist() == TEXT[begin + 1 : begin + 11].tolist()
            begins.add(begin)
    assert min(begins) < 5 and max(begins) == 194
    assert len(WindowBatches(TEXT, 10, 4)) == 5


@pytest.mark.once
@pytest.mark.parametrize("count", [11, 200, 201, 205])
def test_windows_side_by_side_foretell_each_number_once(count):
    data = WindowBatches(TEXT[:count], 10, 4, shuffle=False)
    (batches,) = epochs_of(data, [0])
    foretold = np.concatenate([y[y != IGNORED] for _, y in batches])
    np.testing.assert_array_equal(foretold, TEXT[1:count])
    seen = np.concatenate([x[y != IGNORED] for x, y in batches])
    np.testing.assert_array_equal(seen, TEXT[: count - 1])


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(tokens=TEXT[:10]), "longer than a window"),
        (dict(tokens=TEXT.reshape(5, 41)), "longer than a window"),
        (dict(tokens=TEXT, steps=5, shuffle=False), "steps is how many"),
        (dict(tokens=TEXT, steps=0), "steps is how many"),
        (dict(tokens=TEXT, batch_size=0), "batch_size"),
    ],
)
def test_what_makes_no_windows_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        WindowBatches(**{"length": 10, "batch_size": 4, **arguments})


class Recorded(SequenceBatches):
    """Notes the epoch and the sum of each batch that Keras is given."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = []

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        self.seen.append((self.epoch, int(x.sum()), x.shape))
        return x, y


def test_fit_trains_on_every_shape_and_goes_on_where_it_stopped():
    data = Recorded(SEQUENCES, FOLLOWING, 32, lengths=(10, 30), seed=1)
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, keras.layers.Embedding(10, 9)(inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)
    model.compile(keras.optimizers.Adam(0.05), loss, jit_compile=keras.config.backend() == "jax")

    class Line(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            data.epoch = epoch

    losses = model.fit(data, epochs=4, initial_epoch=2, verbose=0, callbacks=[Line()]).history["loss"]
    assert np.isfinite(losses).all() and losses[1] < losses[0]
    for epoch in (2, 3):
        expected = [data.draw(epoch, i)[0] for i in range(len(data))]
        given = [entry for entry in data.seen if entry[0] == epoch][-len(data) :]
        assert given == [(epoch, int(x.sum()), x.shape) for x in expected]
