"""A training that is killed and started again ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from learners import compiled_gan, largest_difference, set_weights_by_rule, state_of, toy_data

import kzoo
from kzoo import adapters
from kzoo.callbacks import Resume
from kzoo.data import Batches

HERE = Path(__file__).parent


def train(folder, epochs, kill_in=None):
    """A GAN with two optimizers, batch norm, dropout and noise; `kill_in` kills the process inside that epoch."""

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if self.epoch == kill_in and batch == 1:
                os.kill(os.getpid(), signal.SIGKILL)

    x, _ = toy_data(96)
    kzoo.set_seed(5)
    learner = compiled_gan()
    batches = Batches(x, None, 32, seed=7)
    resume = Resume(Path(folder) / "resume", data=batches)
    learner.fit(batches, epochs=epochs, verbose=0, callbacks=[resume, *([] if kill_in is None else [Kill()])])
    return learner, resume


def test_two_epochs_a_kill_and_two_more_equal_four(tmp_path):
    code = f"import sys; sys.path[:0] = {sys.path!r}; import test_resume as t; t.train(sys.argv[1], 4, kill_in=2)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, tmp_path / "killed"], cwd=HERE)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "killed" / "resume").iterdir()] == ["epoch-00002"]
    resumed, history = train(tmp_path / "killed", 4)
    straight, expected = train(tmp_path / "straight", 4)
    assert largest_difference(state_of(resumed), state_of(straight)) < 1e-6
    assert history.history.keys() == expected.history.keys()
    for name, values in expected.history.items():
        np.testing.assert_allclose(history.history[name], values, rtol=1e-5)
    assert not (tmp_path / "killed" / "resume").exists()


def test_a_state_that_is_kept_ends_the_next_fit_at_once(tmp_path):
    x, y = toy_data(32)

    def fitted():
        kzoo.set_seed(1)
        model = keras.Sequential([keras.Input((x.shape[1],)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        resume = Resume(tmp_path / "resume", keep=True)
        epochs = []
        count = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
        model.fit(x, y[:, :1], epochs=2, verbose=0, shuffle=False, callbacks=[resume, count])
        return model, resume, epochs

    first, _, trained = fitted()
    again, resume, none = fitted()  # what came after the training was interrupted
    assert trained == [0, 1] and none == [] and len(resume.history["loss"]) == 2
    for ours, theirs in zip(again.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    resume.clear()
    assert not (tmp_path / "resume").exists()


def test_a_plain_keras_model_resumes_too(tmp_path):
    x, y = toy_data(64)

    def make():
        dense = keras.layers.Dense
        model = keras.Sequential([keras.Input((4,)), dense(8, "relu"), keras.layers.Dropout(0.5), dense(1)])
        set_weights_by_rule(model)
        model.compile("adam", "mse")
        return model, Batches(x, y, 16, seed=1)

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    kzoo.set_seed(3)
    straight, batches = make()
    straight.fit(batches, epochs=3, verbose=0, callbacks=[Resume(tmp_path / "a", data=batches)])
    kzoo.set_seed(3)
    model, batches = make()
    with pytest.raises(KeyboardInterrupt):
        model.fit(batches, epochs=3, verbose=0, callbacks=[Resume(tmp_path / "b", data=batches), Stop()])
    kzoo.set_seed(4)  # whatever the new process starts with, the saved state decides
    model, batches = make()
    model.fit(batches, epochs=3, verbose=0, callbacks=[Resume(tmp_path / "b", data=batches)])
    assert largest_difference(state_of(model), state_of(straight)) < 1e-6


def test_adapters_are_gone_on_with_and_the_best_epoch_is_kept(tmp_path):
    """Keras saves adapters merged into the kernel: loaded again they would begin with zeros."""
    x, y = toy_data(64)

    def make():
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(8, "relu", name="mlp"), keras.layers.Dense(1)]
        )
        set_weights_by_rule(model)
        adapters.add_adapters(model, rank=2, layers="mlp")
        for i, matrix in enumerate((model.layers[0].lora_kernel_a, model.layers[0].lora_kernel_b)):
            matrix.assign(np.sin(np.arange(matrix.shape[0] * matrix.shape[1]) + i).reshape(matrix.shape))
        model.compile(keras.optimizers.Adam(0.1), "mse")
        return model

    class Worse(keras.callbacks.Callback):
        """What is watched is best in the second of four epochs."""

        def on_epoch_end(self, epoch, logs):
            logs["score"] = float(-abs(epoch - 1))

    def fit(model, folder, epochs, *more, best=None):
        resume = Resume(tmp_path / folder, best=best)
        model.fit(x, y, 16, epochs=epochs, shuffle=False, verbose=0, callbacks=[Worse(), resume, *more])
        return model

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    whole, second = fit(make(), "whole", 4), fit(make(), "second", 2)
    with pytest.raises(KeyboardInterrupt):
        fit(make(), "stopped", 4, Stop())
    assert largest_difference(state_of(fit(make(), "stopped", 4)), state_of(whole)) < 1e-6
    with pytest.raises(KeyboardInterrupt):
        fit(make(), "best", 4, Stop(), best="score")
    best = fit(make(), "best", 4, best="score")
    for ours, theirs in zip(best.get_weights(), second.get_weights()):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(best.get_weights(), whole.get_weights()))
    with pytest.raises(ValueError, match="must be one of the logs"):
        fit(make(), "wrong", 1, best="scores")


def test_keras_backup_and_restore_resumes_a_learner(tmp_path):
    x, _ = toy_data(96)

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def backup(name):
        return keras.callbacks.BackupAndRestore(tmp_path / name)

    kzoo.set_seed(1)
    straight = compiled_gan()
    straight.fit(x, batch_size=32, epochs=3, shuffle=False, verbose=0, callbacks=[backup("a")])
    kzoo.set_seed(1)
    learner = compiled_gan()
    with pytest.raises(KeyboardInterrupt):
        learner.fit(x, batch_size=32, epochs=3, shuffle=False, verbose=0, callbacks=[backup("b"), Stop()])
    kzoo.set_seed(2)
    learner = compiled_gan()
    learner.fit(x, batch_size=32, epochs=3, shuffle=False, verbose=0, callbacks=[backup("b")])
    assert largest_difference(state_of(learner), state_of(straight)) < 1e-6


def test_a_state_of_another_configuration_is_not_used(tmp_path):
    x, _ = toy_data(32)
    (tmp_path / "resume" / "epoch-00001").mkdir(parents=True)
    (tmp_path / "resume" / "epoch-00001" / "training.json").write_text('{"configuration": {"epochs": 9}}')
    learner = compiled_gan()
    resume = Resume(tmp_path / "resume", configuration={"epochs": 2})
    with pytest.warns(UserWarning, match="another configuration"):
        learner.fit(x, epochs=2, verbose=0, callbacks=[resume])
    assert len(resume.history["critic_loss"]) == 2


def test_an_unbuilt_model_and_an_unwritable_folder_are_refused_before_training(tmp_path):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write into the folder"):
        compiled_gan().fit(toy_data(8)[0], verbose=0, callbacks=[Resume(tmp_path / "file" / "resume")])
    callback = Resume(tmp_path / "resume")
    callback.set_model(model)
    with pytest.raises(ValueError, match="must be built"):
        callback.on_train_begin()
