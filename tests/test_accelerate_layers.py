"""`kzoo.accelerate` layer by layer: outputs, gradients and state are the plain layer's."""

import keras
import numpy as np
import pytest
from accelerate_cases import CASES, flat, twins

from kzoo.autodiff import value_and_grad


@pytest.mark.parametrize("name", CASES)
def test_outputs_gradients_and_state_are_the_plain_layers(name):
    make, x, keywords = CASES[name]
    given = {key: value for key, value in keywords.items() if value is not None}
    keywords = {key: keras.tree.map_structure(keras.ops.convert_to_tensor, v) for key, v in given.items()}
    results = []
    for layer in twins(make, x)[:2]:
        if "dropout" in name:
            keywords["training"] = True

        def loss(x, layer=layer):
            values = [keras.ops.cast(y, "float32") for y in keras.tree.flatten(layer(x, **keywords))]
            return sum(keras.ops.sum(keras.ops.sin(y)) for y in values)

        outputs = []
        for _ in range(2 if "stateful" in name else 1):  # the second call sees the state that the first left
            outputs += flat(layer(keras.ops.convert_to_tensor(x), **keywords))
        results.append(outputs + flat(layer.non_trainable_weights))
        if "stateful" in name:  # plain Keras cannot differentiate these outside `fit` on every engine
            continue
        results[-1] += flat(value_and_grad(loss)(keras.ops.convert_to_tensor(x))[1])
        if variables := layer.trainable_variables:
            results[-1] += flat(value_and_grad(loss, variables)(keras.ops.convert_to_tensor(x))[1])
    tolerance = 3e-2 if "bfloat16" in name else 1e-5
    for ours, theirs in zip(*results, strict=True):
        scale = max(1.0, np.abs(theirs).max())
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=tolerance, rtol=0)


@pytest.mark.skipif(keras.config.backend() != "jax", reason="the other engines have kernels for these")
@pytest.mark.parametrize(
    ("name", "there", "gone"),
    [
        ("DepthwiseConv2D single same", "slice", "conv_general_dilated"),
        ("SeparableConv2D single same", "slice", "conv_general_dilated"),
        ("LayerNormalization rank 4", "custom_jvp_call", "nothing is left out"),
    ],
)
def test_the_fast_way_is_taken(name, there, gone):
    import jax

    make, x, _ = CASES[name]
    plain, fast, report = twins(make, x)
    before, after = (str(jax.make_jaxpr(layer)(x)) for layer in (plain, fast))
    assert report.changed and there not in before and there in after and gone not in after
