"""Returns, advantages and targets against sums written out and scipy's filter."""

import numpy as np
import pytest
from scipy.signal import lfilter

from kzoo.ops import discounted_returns, generalised_advantages, n_step_targets

pytestmark = pytest.mark.once
RNG = np.random.default_rng(0)


def test_discounted_returns_are_a_filter_run_backwards():
    rewards = RNG.normal(size=(9, 3))
    ours = discounted_returns(rewards, np.zeros((9, 3), bool), 0.9)
    np.testing.assert_allclose(ours, lfilter([1], [1, -0.9], rewards[::-1], axis=0)[::-1], rtol=1e-5)


def test_returns_begin_anew_after_an_end_and_add_what_follows_the_last_step():
    ended = np.array([False, True, False, False])
    ours = discounted_returns([1.0, 2.0, 3.0, 4.0], ended, 0.5, last=8.0)
    np.testing.assert_allclose(ours, [1 + 0.5 * 2, 2, 3 + 0.5 * (4 + 0.5 * 8), 4 + 0.5 * 8])


@pytest.mark.parametrize("trace", (0.0, 0.7, 1.0))
def test_advantages_are_the_sum_of_the_errors_to_come(trace):
    t, discount = 8, 0.9
    rewards, values, following = RNG.normal(size=(3, t, 2))
    terminated, truncated = RNG.random((2, t, 2)) < 0.2
    ended = terminated | truncated
    advantages, returns = generalised_advantages(
        rewards, values, following, terminated, ended, discount, trace
    )
    for i in range(t):
        for e in range(2):
            total, factor = 0.0, 1.0
            for j in range(i, t):
                future = 0.0 if terminated[j, e] else discount * following[j, e]
                total += factor * (rewards[j, e] + future - values[j, e])
                if ended[j, e]:
                    break
                factor *= discount * trace
            assert advantages[i, e] == pytest.approx(total, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(returns, advantages + values, rtol=1e-5, atol=1e-6)


def test_n_steps_are_summed_and_followed_by_nothing_where_they_terminate():
    sums, following = n_step_targets([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], [False, True], 0.5)
    np.testing.assert_allclose(sums, [1 + 1 + 0.75] * 2)
    np.testing.assert_allclose(following, [0.125, 0.0])


def test_shapes_and_shares_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"one shape \(t, …\)"):
        discounted_returns(np.zeros(3), np.zeros(4), 0.9)
    with pytest.raises(ValueError, match=r"discount=1\.5"):
        discounted_returns(np.zeros(3), np.zeros(3), 1.5)
