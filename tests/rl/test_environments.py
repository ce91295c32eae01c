"""Environments as agents see them: Atari's frames, normalisation, and names and spaces that do not fit."""

import numpy as np
import pytest
import toys

from kzoo import recipes, rl
from kzoo.rl.wrappers import check_spaces, make

gymnasium = toys.gymnasium
pytestmark = pytest.mark.once


def test_atari_frames_are_four_grey_squares_and_rewards_signs():
    pytest.importorskip("ale_py", reason="pip install 'kzoo[rl]'")
    environments = rl.Environments("ALE/Pong-v5", seed=0)
    assert environments.observations.shape == (1, 84, 84, 4) and environments.observations.dtype == np.uint8
    assert environments.num_actions == 6
    before, seen = environments.observations, set()
    for _ in range(60):
        rewards, following, _, ended = environments.step(np.zeros(1, int))
        seen.add(float(rewards[0]))
        # The newest frame is the last: three of the four were there before.
        np.testing.assert_array_equal(following[..., :3], before[..., 1:])
        before = environments.observations
        assert not ended.any()
    assert seen == {0.0, -1.0}


def test_a_lost_life_ends_the_episode_in_training_and_not_in_evaluation():
    pytest.importorskip("ale_py", reason="pip install 'kzoo[rl]'")
    lengths = []
    for training in (True, False):
        game = make("ALE/Breakout-v5", training=training)
        game.reset(seed=0)
        for step in range(400):
            _, _, terminated, truncated, _ = game.step(1 if step % 5 == 0 else 0)
            if terminated or truncated:
                break
        lengths.append((step, game.unwrapped.ale.lives()))
    assert lengths[0][1] == 4 and lengths[1][1] == 0 and lengths[0][0] < lengths[1][0]


def test_environments_share_one_normalisation_and_scores_stay_raw():
    environments = rl.Environments("Pendulum-v1", 2, normalise=True)
    for _ in range(200):
        rewards, following, _, ended = environments.step(np.zeros((2, 1), "float32"))
        assert np.abs(following).max() <= 10 and np.abs(rewards).max() <= 10
    moments = environments.statistics["obs_rms"]
    assert all(rl.wrappers.statistics_of(one)["obs_rms"] is moments for one in environments.vector.envs)
    # Each step of both, the two first observations and the two after the end at 200 steps.
    assert moments.count == pytest.approx(2 * 200 + 4, abs=0.01)
    assert ended.all() and environments.episodes[0][1] < -500  # of about -6 a step, unscaled


def test_an_unknown_environment_is_answered_with_the_nearest_names():
    with pytest.raises(ValueError, match="did you mean CartPole-v"):
        make("CartPol-v1")


def test_spaces_that_no_agent_deals_with_are_named():
    with pytest.raises(ValueError, match="observations must be vectors or images"):
        make("FrozenLake-v1")
    odd = toys.Corridor()
    odd.action_space = gymnasium.spaces.MultiBinary(3)
    with pytest.raises(ValueError, match="actions must be choices"):
        check_spaces("odd", odd)
    odd.action_space = gymnasium.spaces.Discrete(3, start=1)
    with pytest.raises(ValueError, match="counted from 0"):
        check_spaces("odd", odd)


def test_a_recipe_says_what_it_cannot_do(tmp_path):
    with pytest.raises(ValueError, match="DQN needs choices to act"):
        recipes.load("dqn")(environment="Pendulum-v1", steps=10)
    with pytest.raises(ValueError, match="do not part into 3 minibatches"):
        recipes.load("ppo")(steps=10, length=5, minibatches=3)
    with pytest.raises(ValueError, match="steps must be above 0"):
        recipes.load("actor_critic")(steps=0)
