"""Capsules, gradient reversal, patches, Fourier features and vector quantisers, against their formulas."""

import keras
import numpy as np
import pytest
from computing import computed
from keras import ops

import kzoo
from kzoo import layers
from kzoo.layers.capsules import squash
from kzoo.layers.patch_embedding import sinusoids


def numpy_of(x):
    return ops.convert_to_numpy(x)


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# ---------------------------------------------------------------- capsules


def _squash(x):
    n2 = (x**2).sum(-1, keepdims=True)
    return n2 / (1 + n2) * x / np.sqrt(n2)


def _route(u, kernel, num_capsules, dim, routing):
    """Procedure 1 of the paper, capsule by capsule."""
    b, i, d = u.shape
    predictions = np.einsum("bid,idje->bije", u, kernel.reshape(i, d, num_capsules, dim))
    logits = np.zeros((b, i, num_capsules))
    for _ in range(routing):
        couplings = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        outputs = _squash((couplings[..., None] * predictions).sum(1))
        logits = logits + (predictions * outputs[:, None]).sum(-1)
    return outputs


@pytest.mark.parametrize("routing", [1, 3])
def test_routing_is_the_papers_procedure(routing):
    x, layer = _draw(2, 6, 5), layers.Capsules(4, 3, routing)
    layer.build(x.shape)
    layer.kernel.assign(_draw(*layer.kernel.shape, seed=1))
    theirs = _route(x, numpy_of(layer.kernel.value), 4, 3, routing)
    outputs, lengths = computed(lambda x: (layer(x), layers.CapsuleLength()(layer(x))), x)
    np.testing.assert_allclose(outputs, theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(lengths, np.linalg.norm(theirs, axis=-1), rtol=1e-4)


def test_routing_gradients_flow_through_the_couplings_only_if_asked_to():
    x, gradients = _draw(2, 6, 5), {}
    for through in (False, True):
        layer = layers.Capsules(4, 3, 3, routing_gradient=through)
        layer.build(x.shape)
        layer.kernel.assign(_draw(*layer.kernel.shape, seed=1))
        target = ops.convert_to_tensor(_draw(2, 4, 3, seed=2))
        gradients[through] = computed(kzoo.grad(lambda x: ops.sum(layer(x) * target)), x)  # noqa: B023
    # Central differences of the transcription see all paths.
    kernel, target, h = _draw(6, 5, 12, seed=1).astype("float64"), _draw(2, 4, 3, seed=2), 1e-5
    finite = np.zeros(5)
    for k in range(5):
        up, down = x.astype("float64"), x.astype("float64")
        up[0, 0, k] += h
        down[0, 0, k] -= h
        finite[k] = ((_route(up, kernel, 4, 3, 3) - _route(down, kernel, 4, 3, 3)) * target).sum() / (2 * h)
    np.testing.assert_allclose(gradients[True][0, 0], finite, rtol=1e-3, atol=1e-4)
    assert np.abs(gradients[False][0, 0] - finite).max() > 1e-2


def test_zero_capsules_stay_zero_and_have_finite_gradients():
    zeros = ops.zeros((2, 3, 4))
    np.testing.assert_array_equal(numpy_of(squash(zeros)), 0)
    length, capsules = layers.CapsuleLength(), layers.Capsules(2, 3)
    capsules.build(zeros.shape)
    for function in (squash, length, capsules):
        assert np.isfinite(computed(kzoo.grad(lambda x: ops.sum(function(x))), zeros)).all()  # noqa: B023
    np.testing.assert_allclose(numpy_of(length(zeros)), 0, atol=1e-6)


def test_primary_capsules_are_neighbouring_channels_of_one_place():
    x, layer = _draw(2, 7, 7, 3), layers.PrimaryCapsules(2, 4, 3, 2)
    layer.build(x.shape)
    maps = numpy_of(layer.convolution(x))
    np.testing.assert_allclose(numpy_of(layer(x)), _squash(maps.reshape(2, 18, 4)), rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------- gradient reversal


def test_gradient_reversal_keeps_the_value_to_the_last_bit_and_turns_the_gradient():
    layer, x = layers.GradientReversal(0.3), np.array([1e-30, -0.1, 7.7e7, 3.3], "float32")
    np.testing.assert_array_equal(numpy_of(layer(x)), x)
    np.testing.assert_allclose(
        computed(kzoo.grad(lambda x: ops.sum(layer(x) * x)), x), x - 0.3 * x, rtol=1e-6
    )
    layer.scale.assign(2.0)
    np.testing.assert_allclose(computed(kzoo.grad(lambda x: ops.sum(layer(x))), x), -2.0)


def test_gradient_reversal_is_its_linear_map_to_the_second_order():
    layer, x = layers.GradientReversal(0.5), ops.convert_to_tensor(np.array([1.0, -2.0], "float32"))
    first = kzoo.grad(lambda x: ops.sum(layer(x) ** 3))  # −s · 3 y²
    np.testing.assert_allclose(numpy_of(first(x)), [-1.5, -6.0])
    second = kzoo.grad(lambda x: ops.sum(first(x)))  # s² · 6 y
    np.testing.assert_allclose(numpy_of(second(x)), [1.5, -3.0])


# ---------------------------------------------------------------- tokens and coordinates


def test_patches_are_tokens_in_reading_order():
    x, layer = _draw(2, 4, 6, 3), layers.PatchEmbedding(5, (2, 3))
    layer.build(x.shape)
    kernel, bias = layer.get_weights()
    patches = x.reshape(2, 2, 2, 2, 3, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 4, 18)
    np.testing.assert_allclose(
        numpy_of(layer(x)), patches @ kernel.reshape(18, 5) + bias, rtol=1e-4, atol=1e-5
    )


def test_class_token_and_positions_are_added_where_they_belong():
    x = _draw(2, 3, 4)
    token, places, waves = (
        layers.ClassToken(),
        layers.PositionEmbedding(6),
        layers.SinePositionEncoding(100.0),
    )
    token.build(x.shape)
    token.token.assign(_draw(1, 1, 4, seed=1))
    outputs = numpy_of(token(x))
    np.testing.assert_array_equal(outputs[:, 1:], x)
    np.testing.assert_array_equal(outputs[:, 0], np.repeat(_draw(1, 1, 4, seed=1)[0], 2, axis=0))
    np.testing.assert_allclose(numpy_of(places(x)), x + numpy_of(places.embeddings.value)[:3], rtol=1e-6)
    theirs = [[f(p / 100.0 ** (k / 4)) for k in (0, 2) for f in (np.sin, np.cos)] for p in range(3)]
    np.testing.assert_allclose(numpy_of(waves(x)), x + np.array(theirs), rtol=1e-5, atol=1e-6)
    assert sinusoids(3, 5).shape == (3, 5)


def test_fourier_features_are_the_papers_formulas():
    x, layer = (
        np.random.default_rng(0).random((3, 2)).astype("float32"),
        layers.FourierFeatures(4, 2.0, seed=1),
    )
    outputs = numpy_of(layer(x))
    angles = 2 * np.pi * x @ numpy_of(layer.frequencies.value)
    np.testing.assert_allclose(outputs, np.concatenate([np.cos(angles), np.sin(angles)], -1), atol=1e-5)
    assert not layer.trainable_weights
    drawn = layers.FourierFeatures(20_000, 3.0, seed=1)
    drawn.build((None, 2))
    assert abs(numpy_of(drawn.frequencies.value).std() - 3.0) < 5 * 3.0 / np.sqrt(2 * 40_000)
    angles = [2**k * np.pi * x for k in range(3)]
    theirs = np.concatenate([x, *map(np.sin, angles), *map(np.cos, angles)], -1)
    np.testing.assert_allclose(
        numpy_of(layers.FrequencyEncoding(3, include_input=True)(x)), theirs, atol=1e-5
    )


# ---------------------------------------------------------------- vector quantiser


def _quantizer(kind, codes, **options):
    layer = kind(len(codes), **options)
    layer.build((None, codes.shape[1]))
    layer.codebook.assign(codes)
    if kind is layers.VectorQuantizerEMA:
        layer.sums.assign(codes)
    return layer


@pytest.mark.parametrize("kind", [layers.VectorQuantizer, layers.VectorQuantizerEMA])
def test_vectors_become_their_nearest_codes_exactly_and_gradients_pass_straight_through(kind):
    codes, x = _draw(5, 3), _draw(2, 4, 3, seed=1)
    layer = _quantizer(kind, codes)
    ids = ((x[:, :, None] - codes) ** 2).sum(-1).argmin(-1)
    np.testing.assert_array_equal(numpy_of(layer.indices(x)), ids)
    np.testing.assert_array_equal(numpy_of(layer(x)), codes[ids])
    np.testing.assert_array_equal(numpy_of(layer.look_up(ids)), codes[ids])
    weights = _draw(2, 4, 3, seed=2)
    gradient = computed(kzoo.grad(lambda x: ops.sum(ops.multiply(layer(x), weights))), x)
    np.testing.assert_allclose(gradient, weights, rtol=1e-6)


def test_codebook_and_commitment_losses_pull_codes_and_vectors_as_in_the_paper():
    codes, x, beta = _draw(5, 3), _draw(6, 3, seed=1), 0.25
    layer = _quantizer(layers.VectorQuantizer, codes, commitment=beta)
    ids = ((x[:, None] - codes) ** 2).sum(-1).argmin(-1)
    difference = x - codes[ids]

    def loss(x):
        layer(x)
        (value,) = layer.losses
        return value

    value, pull = computed(kzoo.value_and_grad(loss), x)
    np.testing.assert_allclose(float(value), (1 + beta) * (difference**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(pull, 2 * beta * difference / x.size, rtol=1e-4, atol=1e-7)
    (pull,) = computed(kzoo.grad(lambda: loss(ops.convert_to_tensor(x)), [layer.codebook]))
    theirs = np.zeros_like(codes)
    np.add.at(theirs, ids, -2 * difference / x.size)
    np.testing.assert_allclose(pull, theirs, rtol=1e-4, atol=1e-7)


def test_moving_average_codes_follow_the_papers_updates_without_a_gradient():
    codes, decay, epsilon = _draw(4, 3), 0.8, 1e-5
    layer = _quantizer(layers.VectorQuantizerEMA, codes, decay=decay, epsilon=epsilon)
    assert not layer.trainable_weights
    counts, sums, e = np.ones(4), codes.astype("float64"), codes.astype("float64")
    for step in range(3):
        x = _draw(9, 3, seed=10 + step)
        layer(ops.convert_to_tensor(x), training=True)
        ids = ((x[:, None] - e) ** 2).sum(-1).argmin(-1)
        chosen = np.bincount(ids, minlength=4)
        summed = np.zeros((4, 3))
        np.add.at(summed, ids, x)
        counts, sums = decay * counts + (1 - decay) * chosen, decay * sums + (1 - decay) * summed
        e = sums / ((counts + epsilon) / (counts.sum() + 4 * epsilon) * counts.sum())[:, None]
        np.testing.assert_allclose(numpy_of(layer.codebook.value), e, rtol=1e-4, atol=1e-5)
    shares = chosen[chosen > 0] / 9
    np.testing.assert_allclose(
        numpy_of(layer.perplexity.value), np.exp(-(shares * np.log(shares)).sum()), rtol=1e-4
    )
    before = numpy_of(layer.codebook.value).copy()
    layer(ops.convert_to_tensor(x), training=False)
    np.testing.assert_array_equal(numpy_of(layer.codebook.value), before)


def test_codes_that_nothing_chooses_are_put_onto_vectors_of_the_batch():
    codes = np.array([[0.0, 0.0], [1e3, 1e3], [2e3, 2e3]], "float32")
    x = ops.convert_to_tensor(_draw(8, 2))
    stays = _quantizer(layers.VectorQuantizerEMA, codes, decay=0.5)
    moves = _quantizer(layers.VectorQuantizerEMA, codes, decay=0.5, restart_below=0.9, seed=1)
    for layer in (stays, moves):
        layer(x, training=True)
    assert numpy_of(stays.codebook.value)[1:].min() > 900
    restarted = numpy_of(moves.sums.value)[1:]
    assert all((np.abs(row - numpy_of(x)).max(-1) < 1e-6).any() for row in restarted)
    np.testing.assert_allclose(numpy_of(moves.counts.value)[1:], 1.0)
    np.testing.assert_allclose(numpy_of(moves.codebook.value)[1:], restarted, rtol=1e-3)


def test_a_quantizer_trains_in_fit_and_knows_its_perplexity():
    inputs = keras.Input((2,))
    model = keras.Model(
        inputs, layers.VectorQuantizerEMA(4, restart_below=0.5, seed=0)(keras.layers.Dense(2)(inputs))
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    logs = model.fit(_draw(16, 2), _draw(16, 2), epochs=2, batch_size=8, verbose=0).history
    assert 1.0 <= numpy_of(model.layers[-1].perplexity.value) <= 4.0 and np.isfinite(logs["loss"]).all()
