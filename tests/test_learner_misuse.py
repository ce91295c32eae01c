"""`Learner` used wrongly says so."""

import keras
import pytest
from keras import ops
from learners import NoisyGAN, Regression, compiled_gan, toy_data

import kzoo
from kzoo.optimizers import NamedOptimizers


class Plain(Regression):
    def update(self, data):
        return {"loss": ops.mean(data[0])}


def fit_plain(**compiled):
    learner = Plain()
    learner.compile(**compiled)
    learner.fit(*toy_data(8), verbose=0)


def no_trainable_variables():
    learner = Regression()
    learner.trainable = False
    learner.compile(optimizer="sgd")
    learner.fit(*toy_data(8), verbose=0)


def apply_inside():
    learner = Regression()
    learner.compile(optimizer="sgd")
    kzoo.grad(lambda: learner.optimizer.apply([], []), learner.trainable_variables)()


def evaluate_without_loss():
    learner = Regression()
    learner.compile(optimizer="sgd")
    learner.evaluate(*toy_data(8), verbose=0)


def log_an_image():
    class Bad(Regression):
        def update(self, data):
            return {"image": data[0]}

    learner = Bad()
    learner.compile(optimizer="sgd")
    learner.fit(*toy_data(8), verbose=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: compiled_gan().optimizers["critics"],
            "there is no optimizer of this name.*critic, generator",
        ),
        (lambda: compiled_gan().optimizer.apply([], []), "say which optimizer"),
        (lambda: Regression().optimizers, "not compiled"),
        (
            lambda: Regression().compile(optimizer="sgd", optimizers={"a": "sgd"}),
            "either optimizer or optimizers",
        ),
        (lambda: NamedOptimizers({"a.b": "sgd"}), "without dots"),
        (no_trainable_variables, "no trainable variables|no variables to"),
        (apply_inside, "apply the gradients outside"),
        (evaluate_without_loss, "define evaluate_step"),
        (log_an_image, "must return scalars"),
    ],
)
def test_wrong_use_is_told_clearly(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_a_learner_is_not_made_of_inputs_and_outputs():
    inputs = keras.Input((2,))
    with pytest.raises(TypeError, match="not a functional model"):
        kzoo.Learner(inputs=inputs, outputs=inputs)


def test_loading_the_state_of_other_optimizers_is_refused(tmp_path):
    x, _ = toy_data(16)
    learner = compiled_gan()
    learner.fit(x, verbose=0)
    learner.save_weights(tmp_path / "state.weights.h5")
    other = NoisyGAN()
    other.compile(optimizers={"critic": "sgd", "generator": "adam"})
    with pytest.raises(ValueError, match="does not belong to these optimizers"):
        other.load_weights(tmp_path / "state.weights.h5")
