"""`Learner`: one training step for three engines, against Keras's own."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from learners import (
    NoisyGAN,
    Regression,
    SharpGAN,
    compiled_gan,
    largest_difference,
    set_weights_by_rule,
    state_of,
    toy_data,
)

import kzoo

ENGINE = keras.config.backend()
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "adam_clipped": lambda: keras.optimizers.Adam(0.01, clipnorm=0.5),
    "adamw_schedule": lambda: keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.01, 12)),
    "adam_accumulated": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "adam_averaged": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=3),
}


def keras_twin(learner, optimizer, **kwargs):
    """The same network trained by Keras's own step."""
    twin = keras.models.clone_model(learner.net)
    twin.set_weights(learner.net.get_weights())
    twin.compile(optimizer, loss="mse", **kwargs)
    return twin


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_equals_keras_own_step(name):
    x, y = toy_data()
    learner = Regression(batch_norm=True)
    set_weights_by_rule(learner)
    twin = keras_twin(learner, OPTIMIZERS[name]())
    learner.compile(optimizer=OPTIMIZERS[name]())
    ours = learner.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history["loss"]
    theirs = twin.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    for a, b in zip(learner.net.weights, twin.weights):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def test_mixed_precision_equals_keras_loss_scaling():
    keras.config.set_dtype_policy("mixed_float16")
    x, y = toy_data()
    learner = Regression()
    set_weights_by_rule(learner)
    twin = keras_twin(learner, keras.optimizers.Adam(0.01))
    learner.compile(optimizer=keras.optimizers.Adam(0.01))
    assert learner.optimizers.loss_scale
    learner.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    twin.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(learner.net.weights, twin.weights):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def test_a_batch_with_infinite_gradients_is_skipped_and_halves_the_scale():
    keras.config.set_dtype_policy("mixed_float16")
    x, y = toy_data(16)
    learner = Regression()
    learner.compile(optimizer=keras.optimizers.Adam(0.01))
    learner.train_on_batch(x, y)
    before, scale = state_of(learner), float(learner.optimizers.scale())
    learner.train_on_batch(x, y + np.inf)
    after = state_of(learner)
    assert float(learner.optimizers.scale()) == scale / 2
    assert (
        sum(not np.array_equal(a, b) for a, b in zip(before, after)) == 2
    )  # the scale and its count of good steps
    learner.train_on_batch(x, y)
    assert int(learner.optimizers.iterations) == 2 and all(np.isfinite(a).all() for a in state_of(learner))


def test_bfloat16_needs_no_scaling():
    keras.config.set_dtype_policy("mixed_bfloat16")
    x, y = toy_data()
    learner = Regression()
    learner.compile(optimizer=keras.optimizers.Adam(0.01))
    assert not learner.optimizers.loss_scale
    losses = learner.fit(x, y, batch_size=16, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_logs_are_means_over_the_epoch_weighted_by_batch_size():
    class Echo(Regression):
        def update(self, data):
            super().update(data)
            return {"mean_x": ops.mean(data[0])}

    x, y = toy_data(40)
    learner = Echo()
    learner.compile(optimizer="sgd")
    logs = learner.fit(x, y, batch_size=16, epochs=1, shuffle=False, verbose=0).history
    assert logs["mean_x"][0] == pytest.approx(float(x.mean()), rel=1e-4)


def test_a_metric_of_the_learner_averages_itself():
    class Counting(Regression):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seen = keras.metrics.Sum(name="seen")

        def update(self, data):
            loss = super().update(data)["loss"]
            self.seen.update_state(ops.cast(ops.shape(data[0])[0], "float32"))
            return {"loss": loss, "seen": self.seen.result()}

    x, y = toy_data(40)
    learner = Counting()
    learner.compile(optimizer="sgd")
    assert learner.fit(x, y, batch_size=16, epochs=2, verbose=0).history["seen"] == [40.0, 40.0]


def test_data_is_given_to_update_as_the_data_set_yields_it():
    seen = []

    class Spy(Regression):
        def update(self, data):
            seen.append(keras.tree.map_structure(lambda t: tuple(t.shape)[1:], data))
            return super().update((data["x"], data["y"]) if isinstance(data, dict) else data[:2])

    x, y = toy_data(16)

    class Dicts(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, i):
            return {"x": x, "y": y}

    for data in [(x, y), (x, y, np.ones(16, "float32"))]:
        learner = Spy()
        learner.compile(optimizer="sgd")
        learner.train_on_batch(*data)
        assert len(seen[-1]) == len(data)
    learner = Spy()
    learner.compile(optimizer="sgd")
    learner.fit(Dicts(workers=0), verbose=0)
    assert seen[-1] == {"x": (4,), "y": (1,)}


def test_a_gan_with_batch_norm_and_dropout_trains_through_fit():
    x, _ = toy_data(96)
    learner = compiled_gan()
    before = state_of(learner)
    logs = learner.fit(x, batch_size=32, epochs=3, verbose=0, validation_data=(x,)).history
    assert (
        set(logs) == {"critic_loss", "generator_loss", "val_score"} and np.isfinite(list(logs.values())).all()
    )
    changed = [not np.array_equal(a, b) for a, b in zip(before, state_of(learner))]
    assert sum(changed) > 0.9 * len(changed)
    assert (
        int(learner.optimizers["critic"].iterations) == int(learner.optimizers["generator"].iterations) == 9
    )


def test_gradient_penalty_and_sharpness_aware_step_train():
    x, _ = toy_data(96)
    noise = np.random.default_rng(1).normal(size=(96, 4)).astype("float32")
    learner = compiled_gan(SharpGAN)
    logs = learner.fit(x, noise, batch_size=32, epochs=5, shuffle=False, verbose=0).history
    assert logs["critic_loss"][-1] < logs["critic_loss"][0]


def test_saving_and_loading_keeps_everything_that_training_changes(tmp_path):
    x, _ = toy_data(96)
    learner = compiled_gan()
    learner.fit(x, batch_size=32, epochs=2, verbose=0, shuffle=False)
    learner.save(tmp_path / "gan.keras")
    learner.fit(x, batch_size=32, epochs=2, verbose=0, shuffle=False)
    loaded = keras.models.load_model(tmp_path / "gan.keras")  # restores PyTorch's generator too
    assert isinstance(loaded, NoisyGAN) and list(loaded.optimizers) == ["critic", "generator"]
    loaded.fit(x, batch_size=32, epochs=2, verbose=0, shuffle=False)
    assert largest_difference(state_of(learner), state_of(loaded)) < 1e-6
    loaded.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    assert largest_difference(state_of(loaded), state_of(again)) == 0.0


def test_optimizer_variables_found_by_rehearsal_are_restored(tmp_path):
    """The optimizer is named after no layer: who trains what is found by running `update` once without numbers."""

    @keras.saving.register_keras_serializable("tests")
    class Halves(Regression):
        def update(self, data):
            x, y = data
            variables = self.net.layers[-1].trainable_variables
            return {"loss": self.minimize(lambda: ops.mean((self(x) - y) ** 2), variables, "last")}

        def get_config(self):
            return keras.Model.get_config(self)

    x, y = toy_data(32)
    learner = Halves()
    learner.compile(optimizers={"last": "adam", "unused": "sgd"})
    learner.fit(x, y, epochs=2, verbose=0, shuffle=False)
    learner.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    for model in (learner, loaded):
        model.fit(x, y, epochs=2, verbose=0, shuffle=False)
    assert largest_difference(state_of(learner), state_of(loaded)) < 1e-6


def test_an_unbuilt_learner_is_built_by_the_first_fit():
    class Lazy(kzoo.Learner):
        def __init__(self):
            super().__init__()
            self.net = keras.Sequential([layers.Dense(8, activation="tanh"), layers.Dense(1)])

        def update(self, data):
            x, y = data
            variables = self.net.trainable_variables
            loss, gradients = kzoo.value_and_grad(lambda x: ops.mean((self.net(x) - y) ** 2), variables)(x)
            self.optimizer.apply(gradients, variables)
            return loss

    x, y = toy_data()
    learner = Lazy()
    learner.compile(optimizer=keras.optimizers.Adam(0.05))
    losses = learner.fit(x, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0] and len(learner.optimizer.variables) == 2 + 2 * 4


def test_learning_rates_are_scheduled_and_set_by_callbacks():
    x, _ = toy_data(32)
    learner = compiled_gan()
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    learner.fit(x, batch_size=16, epochs=2, verbose=0, callbacks=[halve])
    rates = [float(learner.optimizers[name].learning_rate) for name in ("critic", "generator")]
    np.testing.assert_allclose(rates, [5e-4, 2.5e-4], rtol=1e-6)


def test_early_stopping_and_checkpoints_watch_a_learner(tmp_path):
    x, _ = toy_data(32)
    learner = compiled_gan()
    callbacks = [
        keras.callbacks.EarlyStopping("val_score", mode="min", patience=0, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "best.keras", "val_score", mode="min", save_best_only=True
        ),
    ]
    learner.fit(x, batch_size=16, epochs=3, verbose=0, validation_data=(x,), callbacks=callbacks)
    assert (tmp_path / "best.keras").exists()


def test_evaluation_by_a_compiled_loss_is_keras_own():
    x, y = toy_data()
    learner = Regression()
    learner.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    logs = learner.fit(x, y, epochs=1, verbose=0, validation_data=(x, y)).history
    assert set(logs) == {"loss", "val_loss", "val_mae"}
    found = learner.evaluate(x, y, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(float(np.mean((learner.predict(x, verbose=0) - y) ** 2)), rel=1e-5)


def test_evaluate_on_batch_runs_evaluate_step():
    x, _ = toy_data(16)
    learner = compiled_gan()
    expected = float(np.mean(ops.convert_to_numpy(learner.critic(x))))
    assert learner.test_on_batch(x, return_dict=True)["score"] == pytest.approx(expected, rel=1e-5)
    assert learner.evaluate(x, batch_size=5, verbose=0, return_dict=True)["score"] == pytest.approx(
        expected, rel=1e-4
    )


def test_run_eagerly_and_compiled_agree():
    x, y = toy_data()
    curves = []
    for options in ({"run_eagerly": True}, {"jit_compile": ENGINE != "torch"}):
        learner = Regression()
        set_weights_by_rule(learner)
        learner.compile(optimizer=keras.optimizers.SGD(0.05), **options)
        curves.append(learner.fit(x, y, epochs=2, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*curves, rtol=1e-5)


@pytest.mark.skipif(ENGINE != "torch", reason="only PyTorch compiles a step by tracing Python bytecode")
def test_torch_compile_trains_first_order_and_refuses_second_order_clearly():
    x, y = toy_data(32)
    learner = Regression()
    set_weights_by_rule(learner)
    twin = keras_twin(learner, keras.optimizers.SGD(0.05))
    learner.compile(optimizer=keras.optimizers.SGD(0.05), jit_compile=True)
    ours = learner.fit(x, y, epochs=1, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(
        ours, twin.fit(x, y, epochs=1, shuffle=False, verbose=0).history["loss"], rtol=1e-4
    )
    gan = compiled_gan(SharpGAN, jit_compile=True)
    with pytest.raises(RuntimeError, match="jit_compile=False"):
        gan.fit(x, x, verbose=0)


def test_two_variables_that_share_a_buffer_can_be_trained():
    """JAX donates buffers; `target.assign(source)` makes two variables share one."""

    class WithTarget(Regression):
        def __init__(self):
            super().__init__()
            self.target = keras.models.clone_model(self.net)
            for a, b in zip(self.target.weights, self.net.weights):
                a.assign(b)

        def update(self, data):
            variables = self.net.trainable_variables
            return {"loss": self.minimize(lambda: ops.mean((self.net(data[0]) - data[1]) ** 2), variables)}

    x, y = toy_data(32)
    learner = WithTarget()
    learner.compile(optimizer="adam")
    learner.fit(x, y, epochs=2, verbose=0)
    assert largest_difference(learner.target.get_weights(), learner.net.get_weights()) > 0


def test_embedding_gradients_are_dense_everywhere():
    embedding = layers.Embedding(5, 3)
    embedding.build()
    (gradient,) = kzoo.grad(lambda i: ops.sum(embedding(i)), embedding.trainable_variables)(
        ops.array([1, 1, 4])
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(gradient)[:, 0], [0, 2, 0, 0, 1])
