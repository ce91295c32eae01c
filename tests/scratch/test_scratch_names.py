"""The names: read, parted, and cut into contexts."""

import pathlib

import numpy as np
import pytest

import kzoo
from kzoo.data import fetch, names

pytestmark = pytest.mark.once
FEW = pathlib.Path(__file__).parent / "few_names.txt"


def test_a_context_ends_before_its_letter():
    x, y = names.contexts(["ab", "c"], 3)
    assert x.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [0, 0, 0], [0, 0, 3]]
    assert y.tolist() == [1, 2, 0, 3, 0]
    assert names.contexts([], 3)[0].shape == (0, 3)
    with pytest.raises(ValueError, match="'e-f'"):
        names.contexts(["ab", "e-f"], 1)


def test_names_are_parted_by_seed_without_overlap():
    few = kzoo.data.load_names(FEW)
    parts = kzoo.data.split_names(few, 1)
    assert [len(part) for part in parts] == [24, 3, 3]
    assert sorted(sum(parts, ())) == sorted(few)
    assert kzoo.data.split_names(few, 1) == parts != kzoo.data.split_names(few, 2)
    with pytest.raises(ValueError, match="9 names"):
        kzoo.data.split_names(few[:9])


@pytest.mark.skipif(
    fetch.find(names.FILE) is None, reason="the file of names is not here, and tests download nothing"
)
def test_counted_bigrams_of_all_names_cost_2_454_nats():
    every = kzoo.data.load_names()
    x, y = names.contexts(every, 1)
    counts = np.zeros((27, 27))
    np.add.at(counts, (x[:, 0], y), 1)
    shares = counts / counts.sum(1, keepdims=True)
    assert len(every) == 32_033 and every[:3] == ("emma", "olivia", "ava")
    assert abs(-np.log(shares[x[:, 0], y]).mean() - 2.454) < 5e-4
