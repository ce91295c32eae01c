"""Workers that move the same weights: the shared optimizer by hand, and a training by two processes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import toys  # (skips where Gymnasium is not installed)

from kzoo import rl
from kzoo.learners import ActorCritic
from kzoo.models.rl import actor_critic
from kzoo.rl.asynchronous import Shared

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


def loop_of(total, inputs=4, **options):
    agent = ActorCritic(actor_critic((inputs,), 2, hidden_dims=(8,)))
    agent.compile(keras.optimizers.SGD(0.0))
    return rl.Asynchronous(agent, "CartPole-v1", total=total, **options)


def test_two_workers_train_one_agent_and_go_on_where_it_was_stopped(tmp_path):
    loop = loop_of(4000)
    before = [weight.copy() for weight in loop.agent.network.get_weights()]
    history = rl.train(loop, 400, folder=tmp_path, report=100)  # as if stopped there
    loop.environments.close()
    assert 400 <= history[-1]["steps"] <= 4000
    returns = [row["return"] for row in history if row["episodes"]]
    assert returns and min(returns) >= 8  # no pole falls sooner
    kept = loop.agent.network.get_weights()
    assert min(np.abs(a - b).max() for a, b in zip(kept, before)) > 0
    again = loop_of(4000, workers=1)
    longer = rl.train(again, 4000, folder=tmp_path, report=100)
    assert longer[: len(history)] == history and longer[-1]["steps"] == 4000 == again.steps
    weights = again.agent.network.get_weights()
    assert all(np.isfinite(weight).all() for weight in weights)
    assert history[-1]["steps"] == 4000 or max(np.abs(a - b).max() for a, b in zip(weights, kept)) > 0
    with pytest.raises(ValueError, match="taken all their steps"):
        again.advance()


def test_whoever_is_killed_leaves_no_workers(tmp_path):
    """A worker that nobody would end again ends itself."""
    script = Path(__file__).with_name("asynchronous_training.py")
    process = subprocess.Popen([sys.executable, "-W", "ignore", script, tmp_path / "pids"])
    try:
        pids = await_file(tmp_path / "pids")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(pids) == 1
    limit = time.time() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.time() < limit:
        time.sleep(0.1)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def await_file(path):
    """Its words, once it is there."""
    limit = time.time() + 120
    while not path.exists() and time.time() < limit:
        time.sleep(0.1)
    return path.read_text().split()


def test_a_worker_that_fails_is_named():
    with pytest.raises(RuntimeError, match="a worker failed"):
        rl.train(loop_of(100, inputs=5, workers=1), 100)  # CartPole's observations have four numbers


@pytest.mark.parametrize(
    ("wrong", "message"), [(dict(workers=0), "workers=0"), (dict(name=toys.corridor()), "by name")]
)
def test_wrong_workers_are_refused(wrong, message):
    agent = ActorCritic(actor_critic((4,), 2, hidden_dims=(8,)))
    with pytest.raises(ValueError, match=message):
        rl.Asynchronous(agent, **dict(name="CartPole-v1", total=10) | wrong)
