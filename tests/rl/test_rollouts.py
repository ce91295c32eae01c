"""What environments give an agent: ends told apart, nothing of the next episode in the old one's future."""

import numpy as np
import pytest
from toys import corridor

from kzoo.rl import Environments, Episodes, Rollouts, evaluate

pytestmark = pytest.mark.once


class Teller:
    """An agent that values what it sees at ten times the count, and notes what it was asked."""

    has_value = True

    def draw(self, rng, n):
        return rng.random((n, 2))

    def act(self, observations, draws):
        return {"actions": np.zeros(len(observations), "int32"), "values": 10 * observations[:, 0]}

    def values(self, observations):
        return 10 * observations[:, 0]

    def best(self, observations):
        return np.zeros(len(observations), "int32")


def test_a_terminated_episode_has_no_future():
    environments = Environments(corridor(ends=3), 2)
    rows = Rollouts(Teller(), environments, 4, discount=0.5, trace=0.0).collect(np.random.default_rng(0))
    assert rows["observations"][:, 0].tolist() == [
        0,
        0,
        1,
        1,
        2,
        2,
        0,
        0,
    ]  # the fourth step is of a new episode
    # r + γ V(s'), and nothing after the third step.
    assert rows["returns"].tolist() == [6, 6, 11, 11, 1, 1, 6, 6]
    np.testing.assert_allclose(rows["advantages"], rows["returns"] - 10 * rows["observations"][:, 0])


def test_a_truncated_episode_goes_on_in_the_value_of_its_own_last_observation():
    environments = Environments(corridor(cut=3), 2)
    rows = Rollouts(Teller(), environments, 4, discount=0.5, trace=0.0).collect(np.random.default_rng(0))
    assert rows["returns"].tolist() == [6, 6, 11, 11, 16, 16, 6, 6]  # 1 + 0.5 · 10 · 3 at the cut


def test_the_trace_ends_with_the_episode():
    environments = Environments(corridor(ends=2))
    rows = Rollouts(Teller(), environments, 4, discount=0.5, trace=1.0).collect(np.random.default_rng(0))
    assert rows["returns"].tolist() == [1.5, 1.0, 1.5, 1.0]
    environments = Environments(corridor(cut=2))
    rows = Rollouts(Teller(), environments, 3, discount=0.5, trace=1.0).collect(np.random.default_rng(0))
    assert rows["returns"].tolist() == [1.5 + 0.25 * 20, 1 + 0.5 * 20, 1 + 0.5 * 10]


def test_each_step_says_what_followed_and_episodes_are_scored():
    environments = Environments(corridor(ends=2), 3)
    _, following, terminated, ended = environments.step(np.zeros(3, int))
    assert following.ravel().tolist() == [1, 1, 1] and not ended.any()
    _, following, terminated, ended = environments.step(np.zeros(3, int))
    assert following.ravel().tolist() == [2, 2, 2] and terminated.all() and ended.all()
    assert environments.observations.ravel().tolist() == [0, 0, 0]
    assert environments.episodes == [(6, 2.0, 2)] * 3 and environments.steps == 6


def test_whole_episodes_are_filled_up_with_rows_that_count_nothing():
    lengths = iter((2, 5))
    environments = Environments(corridor(ends=2), 1)
    environments = Environments(lambda: corridor(ends=next(lengths))(), 2)
    data = Episodes(Teller(), environments, discount=0.5).collect(np.random.default_rng(0))
    assert len(data["returns"]) == 64 and data["weights"].sum() == 7
    used = data["weights"] == 1
    found = sorted(zip(data["observations"][used, 0], data["returns"][used]))
    assert found == [(0, 1.5), (0, 1.9375), (1, 1), (1, 1.875), (2, 1.75), (3, 1.5), (4, 1)]
    assert environments.steps == 7
    assert [one[1:] for one in environments.episodes] == [
        (2.0, 2),
        (5.0, 5),
    ]  # none of what came while waiting


def test_an_episode_cut_off_ends_in_what_its_last_observation_is_worth():
    data = Episodes(Teller(), Environments(corridor(cut=2)), discount=0.5).collect(np.random.default_rng(0))
    assert data["returns"][:2].tolist() == [1 + 0.5 * 11, 1 + 0.5 * 20]


def test_an_evaluation_counts_the_first_episode_of_each_environment():
    lengths = iter((3, 1, 2))
    made = [corridor(ends=next(lengths)) for _ in range(3)]
    order = iter(made * 2)
    assert evaluate(Teller(), lambda: next(order)(), episodes=3, at_once=3).tolist() == [3, 1, 2]
