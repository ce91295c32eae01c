"""Each loss against its formula in NumPy and loops, its gradient against finite differences of that."""

import keras
import losses_by_numpy as by_numpy
import numpy as np
import pytest
from cases.losses import LOSSES, draw
from jitted import computer, jitted, of_case
from keras import ops

from kzoo import losses


@pytest.fixture(scope="module")
def theirs():
    """Case to what NumPy makes of it: values and gradient."""
    found = {}
    for case, make in LOSSES.items():
        _, y_true, y_pred = make()
        y_true, y_pred = np.asarray(y_true, "float64"), np.asarray(y_pred, "float64")
        constant = by_numpy.constants(case, y_true, y_pred)
        found[case] = by_numpy.LOSSES[case](y_true, y_pred), by_numpy.gradient(constant, y_true, y_pred)
    return found


@pytest.mark.parametrize("case", LOSSES)
def test_values_and_gradients_are_those_of_the_formula(theirs, case):
    values, gradient = theirs[case]
    total, found, found_gradient = of_case(case)(*LOSSES[case]()[1:])
    np.testing.assert_allclose(found, values, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(total, np.mean(values), rtol=2e-5, atol=2e-5)
    if case in (
        "IoU",
        "GIoU",
        "DIoU",
        "CIoU",
    ):  # the last box has no area: a corner, where differences are no guide
        found_gradient, gradient = found_gradient[:-1], gradient[:-1]
    np.testing.assert_allclose(
        found_gradient, gradient, rtol=1e-3, atol=3e-5 * max(1, np.abs(gradient).max())
    )


def test_every_case_but_that_of_one_class_has_something_to_compare(theirs):
    for case, (values, gradient) in theirs.items():
        empty = case == "TripletHard, one class"
        assert (np.abs(values).max() == 0) == empty and (np.abs(gradient).max() == 0) == empty, case


def test_sample_weights_weigh_the_values():
    _, y_true, y_pred = LOSSES["HingeGAN"]()
    weights = np.array([0.0, 1.0, 2.0, 0.5, 0.0, 1.0], "float32")
    found = float(losses.HingeGAN()(y_true, y_pred, sample_weight=weights))
    np.testing.assert_allclose(
        found, np.mean(by_numpy.LOSSES["HingeGAN"](y_true, y_pred) * weights), rtol=1e-5
    )


def test_a_gan_loss_with_sides_is_the_mean_of_its_parts():
    real, fake = draw(5, 1, seed=1).astype("float32"), draw(7, 1, seed=2).astype("float32")
    for name in ("MinimaxGAN", "NonSaturatingGAN", "WassersteinGAN", "HingeGAN", "LeastSquaresGAN"):
        loss = getattr(losses, name)()
        expected = np.mean(by_numpy.LOSSES[name](np.ones(5), real[:, 0]))
        expected += np.mean(by_numpy.LOSSES[name](np.zeros(7), fake[:, 0]))
        np.testing.assert_allclose(float(loss.critic(real, fake)), expected, rtol=1e-5)
        expected = np.mean(by_numpy.LOSSES[f"{name}, generator"](None, fake))
        np.testing.assert_allclose(float(loss.generator(fake)), expected, rtol=1e-5)


def test_the_discriminator_loss_is_keras_binary_crossentropy():
    labels, logits = np.array([1.0, 0.0, 1.0, 0.0], "float32"), draw(4).astype("float32")
    theirs = keras.losses.BinaryCrossentropy(from_logits=True)(labels, logits)
    np.testing.assert_allclose(float(losses.NonSaturatingGAN()(labels, logits)), float(theirs), rtol=1e-5)


def test_labels_may_be_a_column():
    _, labels, x = LOSSES["TripletHard"]()
    assert of_case("TripletHard")(labels, x)[0] == of_case("TripletHard")(labels[:, None], x)[0] > 0


@pytest.mark.skipif(keras.config.backend() != "jax", reason="optax needs JAX")
def test_nt_xent_is_that_of_optax():
    import optax

    loss, y_true, views = LOSSES["NTXent"]()
    views = views.astype("float32")
    labels = np.tile(np.arange(6), 2)

    def both(views):
        theirs = optax.ntxent(ops.concatenate([views[:, 0], views[:, 1]]), labels, temperature=0.1)
        return loss(y_true, views), theirs

    np.testing.assert_allclose(*jitted(both)(views), rtol=1e-5)


@pytest.mark.skipif(keras.config.backend() != "torch", reason="compares with torch.autograd")
def test_torch_functions_give_the_same_values_and_gradients():
    import torch
    from torch.nn import functional as F

    def kl(teacher, student):
        student, teacher = F.log_softmax(student / 3, -1), F.log_softmax(teacher / 3, -1)
        return 9 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)

    def nce(keys, queries):
        similar = F.normalize(queries, dim=-1) @ F.normalize(keys, dim=-1).T
        return F.cross_entropy(similar / 0.07, torch.arange(len(queries)))

    def normal(mean, log_variance):
        ours = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
        return torch.distributions.kl_divergence(ours, torch.distributions.Normal(0.0, 1.0)).sum(-1).mean()

    for case, function in {"Distillation": kl, "InfoNCE": nce, "kl_normal": normal}.items():
        loss, y_true, y_pred = LOSSES[case]()
        y_true, y_pred = torch.tensor(y_true).float(), torch.tensor(y_pred).float().requires_grad_()
        value = function(y_true, y_pred)
        (gradient,) = torch.autograd.grad(value, y_pred)
        ours, _, our_gradient = computer(loss)(y_true, y_pred.detach())
        np.testing.assert_allclose(ours, value.detach(), rtol=1e-5)
        np.testing.assert_allclose(our_gradient, gradient, rtol=1e-4, atol=1e-6)
