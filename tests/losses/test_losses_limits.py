"""Where losses usually break: huge logits, zeros, one class, one row, float16, and what must be refused."""

import keras
import numpy as np
import pytest
from cases.losses import LOSSES, VIEWS, draw
from jitted import computer, jitted, of_case
from keras import ops

import kzoo
from kzoo import losses

SIGNS = np.sign(draw(6, 2, 4, seed=20))


def extremes():
    """Name to `(compute, y_true, y_pred)` that must give finite values and gradients."""
    found = {}
    for case, make in LOSSES.items():
        _, y_true, y_pred = make()
        signs = SIGNS.reshape(-1)[: y_pred.size].reshape(y_pred.shape)
        compute = of_case(case)
        found[f"{case}, 1e4"] = compute, y_true, 1e4 * signs
        found[f"{case}, the other sign"] = compute, y_true, -1e4 * signs
        found[f"{case}, zeros"] = compute, np.zeros_like(y_true), np.zeros(y_pred.shape)
        found[f"{case}, all rows the same"] = compute, y_true, np.broadcast_to(y_pred[:1], y_pred.shape)
    for name in ("TripletSemiHard", "TripletHard", "SupervisedContrastive"):
        found[f"{name}, one class"] = of_case(name), np.zeros(6), draw(6, 4)
        found[f"{name}, nobody alike"] = of_case(name), np.arange(6), draw(6, 4)
        found[f"{name}, one row"] = computer(getattr(losses, name)()), draw(1), draw(1, 4)
    for name in ("MMD", "CORAL", "InfoNCE"):
        found[f"{name}, one row"] = computer(getattr(losses, name)()), draw(1, 4), draw(1, 4)
    found["NTXent, one row"] = computer(losses.NTXent()), np.zeros(1), draw(1, 2, 4)
    found["InfoNCE, no queue yet"] = computer(losses.InfoNCE(in_batch=False)), draw(6, 4), draw(6, 4)
    found["Distillation, teacher sure"] = of_case("Distillation"), 1e4 * SIGNS[:, 0], draw(6, 4)
    found["kl_categorical, flat prior"] = of_case("kl_categorical"), np.zeros((6, 4)), 1e4 * SIGNS[:, 0]
    return found


@pytest.fixture(scope="module")
def computed():
    """Name to `(value, gradient)`."""
    return {case: compute(*arrays)[::2] for case, (compute, *arrays) in extremes().items()}


def test_values_and_gradients_are_finite_at_the_limits(computed):
    assert len(computed) > 4 * len(LOSSES)
    broken = [case for case, arrays in computed.items() if not all(np.isfinite(a).all() for a in arrays)]
    assert not broken


def test_batches_without_a_triplet_give_zero_with_zero_gradient(computed):
    for name in ("TripletSemiHard", "TripletHard"):
        for case in ("one class", "one row", "nobody alike"):
            value, gradient = computed[f"{name}, {case}"]
            assert value == 0 and not gradient.any(), (name, case)
    value, gradient = computed["SupervisedContrastive, nobody alike"]
    assert value == 0 and not gradient.any()


def test_extreme_values_are_those_of_the_limit(computed):
    sure = computed["NonSaturatingGAN, 1e4"][0], computed["NonSaturatingGAN, the other sign"][0]
    np.testing.assert_allclose(sum(sure), 1e4, rtol=1e-6)  # softplus(x) + softplus(-x) = |x|
    np.testing.assert_allclose(computed["kl_categorical, flat prior"][0], _surprise(), rtol=1e-5)
    np.testing.assert_allclose(computed["NTXent, one row"][0], 0.0, atol=1e-6)


def _surprise():
    """The divergence from uniform of distributions that share all mass among their largest logits."""
    ties = (SIGNS[:, 0] == SIGNS[:, 0].max(axis=-1, keepdims=True)).sum(axis=-1)
    return np.mean(np.log(4 / ties))


@pytest.mark.parametrize("name", ["Distillation", "CORAL"])
def test_float16_predictions_are_computed_in_float32(name):
    keras.config.set_dtype_policy("mixed_float16")
    loss, y_true, y_pred = LOSSES[name]()
    half = ops.convert_to_tensor(y_pred.astype("float16"))
    value = loss(y_true, half)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert float(value) == float(loss(y_true, y_pred.astype("float16").astype("float32")))


def test_blocks_and_whole_matrix_agree_also_in_the_second_derivative():
    views = ops.convert_to_tensor(VIEWS[:3].astype("float32"))

    def second(loss):
        first = kzoo.grad(lambda x: loss(0.0, x))
        return kzoo.grad(lambda x: ops.sum(ops.square(first(x))))

    both = jitted(lambda views: [second(losses.NTXent(block_size=size))(views) for size in (2, 64)])
    blocks, whole = (ops.convert_to_numpy(a) for a in both(views))
    assert np.abs(whole).max() > 0.1
    np.testing.assert_allclose(blocks, whole, rtol=1e-4, atol=1e-4)


def test_compiled_evaluation_equals_the_eager_value_whatever_the_batch():
    x = VIEWS.astype("float32")
    inputs = keras.Input((2, 4))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    loss = losses.NTXent(block_size=3)
    model.compile(loss=loss)
    found = model.evaluate(x, np.zeros(6), batch_size=4, verbose=0)
    expected = (4 * float(loss(0.0, x[:4])) + 2 * float(loss(0.0, x[4:]))) / 6
    np.testing.assert_allclose(found, expected, rtol=1e-5)


CONFIGURED = {
    "Contrastive": {"margin": 2.0},
    "TripletSemiHard": {"margin": 0.5},
    "TripletHard": {"margin": None},
    "NTXent": {"temperature": 0.5, "block_size": 8},
    "InfoNCE": {"temperature": 0.2, "in_batch": False, "symmetric": False},
    "NegativeSampling": {},
    "SmoothedCrossentropy": dict(smoothing=0.2, ignore_class=-1),
    "SupervisedContrastive": {"temperature": 0.3},
    "CapsuleMargin": {"present": 0.8, "absent": 0.2, "down_weight": 0.4},
    "Distillation": {"temperature": 2.0},
    "MMD": {"bandwidths": (1.0, 2.0), "width": 3.0},
    **{name: {} for name in ("CORAL", "IoU", "GIoU", "DIoU", "CIoU", "MinimaxGAN", "NonSaturatingGAN")},
    **{name: {} for name in ("WassersteinGAN", "HingeGAN", "LeastSquaresGAN")},
}


@pytest.mark.once
def test_every_loss_survives_saving_with_its_configuration():
    classes = {name for name in losses.__all__ if isinstance(getattr(losses, name), type)}
    assert classes == set(CONFIGURED)
    for name, configuration in CONFIGURED.items():
        saved = keras.saving.serialize_keras_object(
            getattr(losses, name)(**configuration, reduction="sum", name="mine")
        )
        restored = keras.saving.deserialize_keras_object(saved)
        assert keras.saving.serialize_keras_object(restored) == saved
        assert type(restored).__name__ == name and (restored.reduction, restored.name) == ("sum", "mine")
        for argument, value in configuration.items():
            assert getattr(restored, argument) == value


def test_a_compiled_model_is_saved_with_its_loss(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model.compile(optimizer="sgd", loss=losses.SupervisedContrastive(0.3))
    model.save(tmp_path / "model.keras")
    x, y = draw(6, 4).astype("float32"), np.array([0, 0, 1, 1, 2, 2])
    restored = keras.saving.load_model(tmp_path / "model.keras")
    assert restored.loss.temperature == 0.3
    assert restored.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0) > 0


@pytest.mark.once
@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: losses.NTXent(temperature=0.0), "temperature=0.0"),
        (lambda: losses.NTXent(block_size=0), "block_size=0"),
        (lambda: losses.InfoNCE(temperature=-1.0), "temperature=-1.0"),
        (lambda: losses.InfoNCE(in_batch=False, symmetric=True), "symmetric=True"),
        (lambda: losses.SupervisedContrastive(0.0), "temperature=0.0"),
        (lambda: losses.Distillation(0.0), "temperature=0.0"),
        (lambda: losses.Contrastive(0.0), "margin=0.0"),
        (lambda: losses.CapsuleMargin(present=0.1, absent=0.2), "absent=0.2"),
        (lambda: losses.MMD(bandwidths=()), "bandwidths="),
        (lambda: losses.MMD(width=0.0), "width=0.0"),
        (lambda: losses.MMD()(np.zeros((3, 2)), np.zeros((3, 4))), "y_pred.shape"),
        (lambda: losses.CORAL()(np.zeros((3, 2, 2)), np.zeros((3, 2, 2))), "y_pred.shape"),
        (lambda: losses.NTXent()(0.0, np.zeros((3, 4))), "y_pred.shape"),
        (lambda: losses.NTXent()(0.0, np.zeros((3, 3, 4))), "y_pred.shape"),
        (lambda: losses.InfoNCE()(np.zeros((3, 4)), np.zeros((5, 4))), "5 queries and 3 keys"),
        (lambda: losses.TripletHard()(np.zeros(3), np.zeros(3)), "y_pred.shape"),
        (lambda: losses.CapsuleMargin()(np.zeros(3), np.zeros((3, 4))), "one-hot"),
        (lambda: losses.GIoU()(np.zeros((3, 4)), np.zeros((3, 5))), "y_pred.shape"),
    ],
)
def test_wrong_arguments_are_refused_with_what_was_received(act, message):
    with pytest.raises(ValueError, match=r"Received: ") as caught:
        act()
    assert message in str(caught.value)
