"""Workers that move the same weights: the shared optimizer by hand, and a training by two processes."""

import keras
import numpy as np
import pytest
import toys  # (skips where Gymnasium is not installed)

from kzoo.learners import ActorCritic
from kzoo.models.rl import actor_critic
from kzoo.rl.asynchronous import Shared, train_asynchronously

pytestmark = pytest.mark.once


def test_two_views_of_shared_memory_move_the_same_weights():
    first = Shared([3, 2])
    first.weights[:], first.squares[:] = np.arange(5), 0.0
    second = Shared([3, 2], first.memory.name)
    gradient = np.array([1.0, -2.0, 0.0, 0.5, 3.0], "float32")
    for shared in (first, second):
        shared.move(gradient, 0.1)
    squares = (0.01 + 0.99 * 0.01) * gradient**2
    wanted = np.arange(5) - 0.1 * gradient / (np.sqrt(0.01 * gradient**2) + 1e-5)
    wanted -= 0.1 * gradient / (np.sqrt(squares) + 1e-5)
    np.testing.assert_allclose(first.weights, wanted, rtol=1e-5)
    second.close()
    first.close(unlink=True)


def test_two_workers_train_one_agent():
    agent = ActorCritic(actor_critic((4,), 2, hidden_dims=(8,)))
    agent.compile(keras.optimizers.SGD(0.0))
    before = [weight.copy() for weight in agent.network.get_weights()]
    history = train_asynchronously(agent, "CartPole-v1", 400, workers=2, report=100)
    assert history[-1]["steps"] >= 300 and all(row["return"] >= 8 for row in history)
    assert all(np.isfinite(weight).all() for weight in agent.network.get_weights())
    moved = [np.abs(a - b).max() for a, b in zip(agent.network.get_weights(), before)]
    assert min(moved) > 0


def test_a_worker_that_fails_and_settings_that_are_not_there_are_named():
    agent = ActorCritic(actor_critic((5,), 2, hidden_dims=(8,)))  # CartPole's observations have four numbers
    agent.compile(keras.optimizers.SGD(0.0))
    assert toys.gymnasium is not None
    with pytest.raises(ValueError, match="no setting 'lenght'"):
        train_asynchronously(agent, "CartPole-v1", 100, lenght=3)
    with pytest.raises(RuntimeError, match="a worker failed"):
        train_asynchronously(agent, "CartPole-v1", 100, workers=1)
