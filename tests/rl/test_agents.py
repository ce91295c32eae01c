"""The agents' updates against NumPy, and that all ways of running one are the same."""

import keras
import numpy as np
import pytest
from agents import agent_of, batch_for
from keras import ops
from learners import largest_difference, state_of

import kzoo
from kzoo import backend
from kzoo.learners import DQN, PPO, ActorCritic
from kzoo.models.rl import actor_critic, policy_of, q_network


def outputs_of(agent, data):
    found = agent.network(data["observations"])
    return {name: ops.convert_to_numpy(value).astype("float64") for name, value in found.items()}


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def ppo_by_numpy(outputs, data, continuous):
    """Equations 7 and 9 of the paper, the value clipped as in its code."""
    if continuous:
        deviation = np.exp(outputs["log_std"])
        z = (data["actions"] - outputs["mean"]) / deviation
        log_probs = (-0.5 * z**2 - np.log(deviation) - 0.5 * np.log(2 * np.pi)).sum(-1)
        entropy = (np.log(deviation) + 0.5 * np.log(2 * np.pi * np.e)).sum(-1).mean()
    else:
        table = log_softmax(outputs["logits"])
        log_probs = table[np.arange(len(table)), data["actions"]]
        entropy = -(np.exp(table) * table).sum(-1).mean()
    advantages = data["advantages"].astype("float64")
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    ratio = np.exp(log_probs - data["log_probs"])
    policy_loss = -np.minimum(ratio * advantages, np.clip(ratio, 0.8, 1.2) * advantages).mean()
    near = data["values"] + np.clip(outputs["value"] - data["values"], -0.2, 0.2)
    errors = np.maximum((outputs["value"] - data["returns"]) ** 2, (near - data["returns"]) ** 2)
    value_loss = 0.5 * errors.mean()
    loss = policy_loss + 0.5 * value_loss - 0.01 * entropy
    clipped = (np.abs(ratio - 1) > 0.2).mean()
    return dict(loss=loss, policy_loss=policy_loss, value_loss=value_loss, entropy=entropy, clipped=clipped)


@pytest.mark.parametrize("kind", ("ppo", "ppo_continuous"))
def test_the_loss_of_ppo_is_the_papers(kind):
    agent, data = agent_of(kind), batch_for(kind)
    if kind == "ppo_continuous":
        agent.network.get_layer("log_std").set_weights([np.array([0.1, -0.2])])
    wanted = ppo_by_numpy(outputs_of(agent, data), data, kind == "ppo_continuous")
    logs = {name: float(value) for name, value in agent.learn(data).items()}
    assert 0 < wanted["clipped"] < 1
    assert {name: logs[name] for name in wanted} == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_the_loss_of_reinforce_weighs_by_returns_above_the_baseline():
    agent, data = agent_of("reinforce"), batch_for("reinforce")
    outputs, used = outputs_of(agent, data), data["weights"] == 1
    table = log_softmax(outputs["logits"])[used]
    log_probs = table[np.arange(len(table)), data["actions"][used]]
    above = (data["returns"] - outputs["value"])[used]
    policy_loss = -(log_probs * (above - above.mean()) / above.std()).mean()
    entropy, value_loss = -(np.exp(table) * table).sum(-1).mean(), (above**2).mean()
    wanted = dict(policy_loss=policy_loss, entropy=entropy, value_loss=value_loss)
    wanted["loss"] = policy_loss - 0.02 * entropy + 0.5 * value_loss
    logs = {name: float(value) for name, value in agent.learn(data).items()}
    assert logs == pytest.approx(wanted, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("kind", ("dqn", "dqn_duelling"))
def test_the_target_of_dqn_is_what_came_and_the_copys_value_of_the_best_action(kind):
    agent, data = agent_of(kind), batch_for(kind)  # the first double, the second not
    values, following, chooser = (
        ops.convert_to_numpy(network(data[name])).astype("float64")
        for network, name in (
            (agent.network, "observations"),
            (agent.target, "next_observations"),
            (agent.network if kind == "dqn" else agent.target, "next_observations"),
        )
    )
    rows = np.arange(len(values))
    targets = data["rewards"] + data["discounts"] * following[rows, chooser.argmax(-1)]
    errors = np.abs(values[rows, data["actions"]] - targets)
    losses = 0.5 * errors**2 if kind == "dqn" else np.where(errors < 1, 0.5 * errors**2, errors - 0.5)
    assert (errors < 1).any() and (errors > 1).any()
    logs = agent.learn(data)
    np.testing.assert_allclose(ops.convert_to_numpy(logs["errors"]), errors, rtol=1e-4, atol=1e-5)
    assert float(logs["loss"]) == pytest.approx((data["weights"] * losses).mean(), rel=1e-4)
    assert largest_difference(agent.target.get_weights(), agent.network.get_weights()) > 0.01
    agent.renew_target()
    assert largest_difference(agent.target.get_weights(), agent.network.get_weights()) == 0


@pytest.mark.parametrize("kind", ("reinforce_plain", "actor_critic", "dqn"))
def test_a_compiled_step_many_in_one_call_and_keras_own_step_are_the_same(kind):
    data = batch_for(kind)
    rows = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [3, 9, 1, 2]], "int32")
    parts = [{name: values[row] for name, values in data.items()} for row in rows]
    together, apart, kerass = (agent_of(kind) for _ in range(3))
    logs = together.learn(data, rows)
    losses = [float(apart.learn(part)["loss"]) for part in parts]
    np.testing.assert_allclose(ops.convert_to_numpy(logs["loss"]), losses, rtol=1e-5, atol=1e-6)
    first = kerass.train_on_batch(parts[0], return_dict=True)
    assert first["loss"] == pytest.approx(losses[0], rel=1e-5, abs=1e-6)
    for part in parts[1:]:
        kerass.train_on_batch(part)
    assert largest_difference(state_of(together), state_of(apart)) < 1e-5
    assert largest_difference(state_of(kerass), state_of(apart)) < 1e-5


def test_a_step_is_that_of_keras_optimizer_with_clipped_gradients():
    data, make = batch_for("actor_critic"), lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.1)
    agent, plain, optimizer = agent_of("actor_critic", make()), agent_of("actor_critic"), make()
    variables = plain.network.trainable_variables
    tensors = {name: ops.convert_to_tensor(values) for name, values in data.items()}
    for _ in range(2):
        agent.learn(data)
        _, gradients = kzoo.value_and_grad(plain.loss_of, variables, has_aux=True)(tensors)
        assert np.sqrt(sum(np.square(ops.convert_to_numpy(g)).sum() for g in gradients)) > 0.2
        optimizer.apply(gradients, variables)
    assert largest_difference(agent.network.get_weights(), plain.network.get_weights()) < 1e-5


@pytest.mark.parametrize("kind", ("ppo_continuous", "dqn_duelling"))
def test_an_agent_is_saved_loaded_saved_and_goes_on_alike(kind, tmp_path):
    agent, data = agent_of(kind), batch_for(kind)
    agent.learn(data)
    agent.save(tmp_path / "agent.keras")
    loaded = keras.models.load_model(tmp_path / "agent.keras")
    assert type(loaded) is type(agent)
    assert largest_difference(state_of(loaded), state_of(agent)) == 0
    losses = [float(one.learn(data)["loss"]) for one in (agent, loaded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    loaded.save(tmp_path / "again.keras")
    assert (
        largest_difference(state_of(keras.models.load_model(tmp_path / "again.keras")), state_of(agent))
        < 1e-6
    )


def test_actions_are_drawn_as_the_distribution_says_and_the_best_are_the_likeliest():
    agent, data = agent_of("ppo"), batch_for("ppo", n=5)
    outputs, draws = outputs_of(agent, data), agent.draw(np.random.default_rng(0), 5)
    decided = agent.act(data["observations"], draws)
    wanted = (outputs["logits"] + draws).argmax(-1)
    np.testing.assert_array_equal(decided["actions"], wanted)
    log_probs = log_softmax(outputs["logits"])[np.arange(5), wanted]
    np.testing.assert_allclose(decided["log_probs"], log_probs, rtol=1e-4)
    np.testing.assert_allclose(decided["values"], outputs["value"], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(agent.best(data["observations"]), outputs["logits"].argmax(-1))


def test_a_dqn_draws_as_many_actions_as_it_explores():
    agent = agent_of("dqn")
    observations, draws = batch_for("dqn", n=8)["observations"], (np.arange(8) / 8, np.full(8, 7))
    best = agent.best(observations)
    for exploring, drawn in ((0.0, 0), (0.5, 4), (1.0, 8)):
        actions = agent.act(observations, draws, exploring)["actions"]
        np.testing.assert_array_equal(actions, np.where(np.arange(8) < drawn, 7, best))


def test_a_policy_of_normalised_observations_takes_raw_ones():
    network = actor_critic((3,), 2, continuous=True, hidden_dims=(4,))
    mean, variance = np.array([1.0, 2.0, 3.0]), np.array([4.0, 0.25, 1e-12])
    raw = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    seen = np.clip((raw - mean) / np.sqrt(variance + 1e-8), -10, 10).astype("float32")
    ours = ops.convert_to_numpy(policy_of(network, mean, variance)(raw))
    np.testing.assert_allclose(ours, ops.convert_to_numpy(network(seen)["mean"]), rtol=1e-4, atol=1e-6)


def test_networks_have_the_sizes_of_the_papers():
    nature = q_network((84, 84, 4), 6)
    assert nature.count_params() == 1_687_206  # Mnih et al. (2015), Methods, with six actions
    assert actor_critic((4,), 2).count_params() == 4610 + 4545
    duelling = q_network((84, 84, 4), 6, duelling=True)
    values = ops.convert_to_numpy(duelling(np.zeros((2, 84, 84, 4), "uint8")))
    assert values.shape == (2, 6)


def test_networks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="needs a network with a value"):
        ActorCritic(actor_critic((3,), 2, value=False))
    with pytest.raises(ValueError, match="logits, or with mean"):
        PPO(q_network((3,), 2))
    with pytest.raises(ValueError, match=r"gives \(b, actions\)"):
        DQN(actor_critic((3,), 2))
    with pytest.raises(ValueError, match="at least 36 pixels"):
        q_network((20, 84, 4), 2)
    with pytest.raises(ValueError, match="vectors"):
        actor_critic((3, 4), 2)
    with pytest.raises(ValueError, match="clip"):
        PPO(actor_critic((3,), 2), clip=0.0)


@pytest.mark.parametrize("kind", ("reinforce", "ppo_continuous", "dqn_duelling"))
def test_every_agent_learns_from_a_batch_it_sees_again(kind):
    agent, data = agent_of(kind), batch_for(kind)
    first = float(agent.learn(data)["loss"])
    losses = ops.convert_to_numpy(agent.learn(data, np.tile(np.arange(12, dtype="int32"), (30, 1)))["loss"])
    assert losses[-1] < first


def test_a_program_tells_dictionaries_of_equal_shapes_apart():
    def function(data):
        return {"y": 2 * data["a"] if "a" in data else 3 * data["b"]}

    program, ones = backend.Program(function, []), np.ones((2, 3), "float32")
    for name, value in (("a", 2), ("b", 3), ("a", 2)):
        np.testing.assert_array_equal(ops.convert_to_numpy(program({name: ones})["y"]), value * ones)
