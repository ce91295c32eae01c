"""What policies draw from, against scipy: densities, entropies, their gradients, and how often each action is drawn."""

import numpy as np
from keras import ops
from scipy import special, stats

import kzoo
from kzoo.ops import Categorical, DiagonalGaussian

RNG = np.random.default_rng(1)
LOGITS = RNG.normal(size=(5, 3)).astype("float32")
MEAN, LOG_STD = RNG.normal(size=(2, 5, 3)).astype("float32")


def test_a_categorical_has_the_probabilities_of_the_softmax():
    actions = np.array([0, 2, 1, 1, 0], "int32")
    distribution = Categorical(ops.convert_to_tensor(LOGITS))
    wanted = special.log_softmax(LOGITS, axis=-1)
    ours = ops.convert_to_numpy(distribution.log_prob(ops.convert_to_tensor(actions)))
    np.testing.assert_allclose(ours, wanted[np.arange(5), actions], rtol=1e-5)
    entropies = stats.entropy(np.exp(wanted), axis=-1)
    np.testing.assert_allclose(ops.convert_to_numpy(distribution.entropy()), entropies, rtol=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(distribution.mode()), LOGITS.argmax(-1))


def test_its_log_probabilitys_gradient_is_what_was_done_less_what_was_likely():
    def log_prob(logits):
        return ops.sum(
            Categorical(logits).log_prob(ops.convert_to_tensor(np.array([0, 2, 1, 1, 0], "int32")))
        )

    gradient = ops.convert_to_numpy(kzoo.grad(log_prob)(ops.convert_to_tensor(LOGITS)))
    np.testing.assert_allclose(
        gradient, np.eye(3)[[0, 2, 1, 1, 0]] - special.softmax(LOGITS, axis=-1), atol=1e-5
    )


def test_draws_have_the_probabilities_asked_for():
    n, rng = 20_000, np.random.default_rng(2)
    distribution = Categorical(ops.convert_to_tensor(np.repeat(LOGITS[:1], n, axis=0)))
    drawn = ops.convert_to_numpy(distribution.sample(Categorical.draws(rng, n, 3)))
    np.testing.assert_allclose(np.bincount(drawn) / n, special.softmax(LOGITS[0]), atol=0.015)


def test_a_gaussian_has_scipys_density_and_entropy():
    actions = RNG.normal(size=(5, 3)).astype("float32")
    distribution = DiagonalGaussian(ops.convert_to_tensor(MEAN), ops.convert_to_tensor(LOG_STD))
    theirs = stats.norm(MEAN, np.exp(LOG_STD))
    ours = ops.convert_to_numpy(distribution.log_prob(ops.convert_to_tensor(actions)))
    np.testing.assert_allclose(ours, theirs.logpdf(actions).sum(-1), rtol=1e-4)
    entropies = ops.convert_to_numpy(distribution.entropy())
    np.testing.assert_allclose(entropies, theirs.entropy().sum(-1), rtol=1e-4)
    draws = DiagonalGaussian.draws(np.random.default_rng(3), 5, 3)
    drawn = ops.convert_to_numpy(distribution.sample(draws))
    np.testing.assert_allclose(drawn, MEAN + np.exp(LOG_STD) * draws, rtol=1e-5)
