"""The replay buffer: what it keeps of n steps, in which proportions it draws, and files that are whole or refused."""

import numpy as np
import pytest

from kzoo.rl.replay import PrioritisedReplay, Replay, SumTree

pytestmark = pytest.mark.once


def filled(kind=Replay, steps=9, n_step=3, capacity=16, **more):
    """One environment that counts its steps, terminated after 4 and truncated after 7."""
    replay = kind(capacity, (1,), n_step=n_step, discount=0.5, **more)
    for i in range(steps):
        seen, following = np.array([[i]], "float32"), np.array([[i + 0.5]], "float32")
        ends = np.array([i == 3]), np.array([i in (3, 6)])
        replay.add(seen, np.array([i % 2]), np.array([1.0 + i]), following, *ends)
    return replay


def test_transitions_span_n_steps_of_one_episode():
    rows = {name: values[: len(filled())].ravel().tolist() for name, values in filled().rows.items()}
    # Three steps each, fewer before an end; steps 7 and 8 wait for a third.
    assert rows["observations"] == [0, 1, 2, 3, 4, 5, 6]
    assert rows["next_observations"] == [2.5, 3.5, 3.5, 3.5, 6.5, 6.5, 6.5]
    assert rows["rewards"] == [2.75, 4.5, 5.0, 4.0, 9.75, 9.5, 7.0]
    assert rows["discounts"] == [0.125, 0, 0, 0, 0.125, 0.25, 0.5]
    assert rows["actions"] == [0, 1, 0, 1, 0, 1, 0]


def test_the_oldest_are_overwritten():
    replay = filled(n_step=1, capacity=4)
    assert len(replay) == 4 and sorted(replay.rows["observations"].ravel()) == [5, 6, 7, 8]


def test_a_sum_tree_finds_places_in_proportion_to_their_values():
    tree, values = SumTree(5), np.array([1.0, 0.0, 3.0, 2.0, 4.0])
    tree.assign(np.arange(5), values)
    assert tree.total == 10
    found = tree.find(np.arange(0.5, 10))
    np.testing.assert_array_equal(np.bincount(found, minlength=5), values)
    tree.assign(np.array([2, 0, 2]), np.array([7.0, 5.0, 1.0]))  # of a place that is there twice, the last
    np.testing.assert_array_equal(tree.of([0, 2]), [5, 1])
    assert tree.total == 12


def test_rows_are_drawn_by_priority_and_weighed_against_it():
    replay = filled(PrioritisedReplay, n_step=1, exponent=1.0, epsilon=0.0)
    replay.renew(np.arange(9), np.arange(9.0))
    rng, counts = np.random.default_rng(0), np.zeros(9)
    for _ in range(200):
        data, places = replay.sample(8, rng, correction=1.0)
        counts += np.bincount(places, minlength=9)
        weights = 1 / places
        np.testing.assert_allclose(data["weights"], weights / weights.max(), rtol=1e-6)
        np.testing.assert_array_equal(data["observations"][:, 0], places)
    np.testing.assert_allclose(counts / counts.sum(), np.arange(9) / 36, atol=0.02)


@pytest.mark.parametrize("kind", (Replay, PrioritisedReplay))
def test_a_file_brings_back_what_was_kept(kind, tmp_path):
    first, second = filled(kind), filled(kind, steps=0)
    first.renew(np.array([1]), np.array([9.0]))
    first.save(tmp_path / "replay.bin")
    second.load(tmp_path / "replay.bin")
    for replay in (first, second):  # with the steps that were waiting for a third
        replay.add(
            np.array([[9.0]]), np.array([1]), np.array([2.0]), np.array([[9.5]]), *np.zeros((2, 1), bool)
        )
    assert len(first) == len(second) == 8
    ours, theirs = (one.sample(16, np.random.default_rng(0), 0.5) for one in (first, second))
    assert ours[1].tolist() == theirs[1].tolist()
    for name, values in ours[0].items():
        np.testing.assert_array_equal(values, theirs[0][name])


def test_a_file_that_is_cut_off_changed_or_of_another_buffer_is_refused(tmp_path):
    path = tmp_path / "replay.bin"
    filled().save(path)
    content, empty = path.read_bytes(), filled(steps=0)
    for size in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"cut off|no whole file"):
            empty.load(path)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match="was changed"):
        empty.load(path)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="of another buffer"):
        filled(steps=0, capacity=17).load(path)
    assert len(empty) == 0
    empty.load(path)
    assert len(empty) == 7


def test_an_empty_buffer_gives_no_batch():
    with pytest.raises(ValueError, match="empty"):
        filled(steps=0).sample(4, np.random.default_rng(0))
