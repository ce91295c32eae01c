"""No library at hand has wide networks for small images, but a width of 1 is a residual network v2, which timm has."""

import numpy as np
from keras import ops

import kzoo


def test_a_wide_network_of_width_one_is_the_residual_network_v2_with_its_weights():
    options = dict(image_shape=(9, 8, 3), num_classes=5, filters=(4, 8, 8))
    ours = kzoo.create_model("wide_resnet40_1", depth=16, **options)
    theirs = kzoo.create_model("resnet110_v2", depths=(2, 2, 2), **options)
    paths = {variable.path for variable in theirs.variables}
    for i, variable in enumerate(ours.variables):
        assert variable.path in paths
        variable.assign(np.random.default_rng(i).uniform(0.1, 0.5, variable.shape))
    theirs.set_weights(ours.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("float32")
    expected = ops.convert_to_numpy(theirs(x, training=False))
    np.testing.assert_allclose(ops.convert_to_numpy(ours(x, training=False)), expected, rtol=1e-6)
    assert np.std(expected) > 1e-3


def test_dropout_is_between_the_convolutions_of_each_block():
    model = kzoo.create_model(
        "wide_resnet16_8", image_shape=(8, 8, 3), num_classes=2, width=1, block_dropout=0.3
    )
    names = [layer.name for layer in model.layers]
    dropouts = [name for name in names if name.endswith("_dropout")]
    assert len(dropouts) == 6
    for name in dropouts:
        block = name.removesuffix("_dropout")
        assert names.index(f"{block}_conv_1") < names.index(name) < names.index(f"{block}_conv_2")
