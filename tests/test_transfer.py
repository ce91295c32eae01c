"""Taking trained networks elsewhere: what is frozen stays, stages join in their epochs, sizes may differ."""

import itertools

import keras
import numpy as np
import pytest

import kzoo
from kzoo import transfer
from kzoo.callbacks import ProgressiveUnfreezing, Resume
from kzoo.optimizers import LayerwiseLearningRates
from kzoo.weights import carry_over

SMALL = dict(image_shape=(8, 8, 3), num_classes=3, filters=(8, 8), depths=(1, 1))


def small(**arguments):
    return kzoo.create_model("resnet20", **{**SMALL, **arguments})


def data(count=12, classes=3):
    random = np.random.default_rng(0)
    return random.normal(size=(count, 8, 8, 3)).astype("float32"), random.integers(0, classes, count)


def compiled(model, optimizer):
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def values(model):
    return {v.path: np.array(v.numpy()) for v in model.variables if "seed" not in v.path}


def moved(before, after):
    return {path for path in before if not np.array_equal(before[path], after[path])}


def test_frozen_layers_stay_as_they_are_statistics_too():
    model = small()
    names = transfer.freeze(model)
    assert "stem_norm" in names and "head" not in names
    before = values(compiled(model, "sgd"))
    model.fit(*data(), epochs=1, verbose=0)
    assert moved(before, values(model)) == {"head/kernel", "head/bias"}


def test_layers_are_frozen_by_pattern():
    model = small()
    transfer.freeze(model, "stem*", "stage_1*")
    before = values(compiled(model, "sgd"))
    model.fit(*data(), epochs=1, verbose=0)
    changed = {path.partition("_block")[0].partition("/")[0] for path in moved(before, values(model))}
    assert changed == {"stage_2", "head"}


def test_frozen_statistics_stay_while_kernels_learn():
    model = small()
    assert transfer.freeze_statistics(model) == 6
    before = values(compiled(model, "sgd"))
    model.fit(*data(), epochs=1, verbose=0)
    changed = moved(before, values(model))
    assert not any("norm" in path for path in changed) and "stem_conv/kernel" in changed


def unfreezing(start):
    rates = LayerwiseLearningRates(keras.optimizers.SGD(0.1), {"stage_2*": 0.5, "st*": 0.25})
    return compiled(small(), rates), ProgressiveUnfreezing(start)


def test_stages_join_in_their_epochs_with_their_own_rates():
    model, callback = unfreezing({"stage_2*": 1, "st*": 2})
    transfer.freeze_statistics(model)
    compiled(model, model.optimizer)
    seen = [values(model)]
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(values(model)))
    model.fit(*data(), epochs=3, batch_size=12, callbacks=[callback, keep], verbose=0)
    steps = [moved(a, b) for a, b in itertools.pairwise(seen)]
    assert steps[0] == {"head/kernel", "head/bias"}
    assert any(path.startswith("stage_2") for path in steps[1])
    assert not any(path.startswith(("stem", "stage_1")) for path in steps[1])
    assert any(path.startswith("stem") for path in steps[2])


def test_a_resumed_unfreezing_is_that_of_one_go(tmp_path):
    x, y = data()

    def train(epochs, folder):
        kzoo.set_seed(1)
        model, callback = unfreezing({"stage_2*": 1, "st*": 2})
        model.fit(
            x, y, epochs=epochs, batch_size=6, shuffle=False, callbacks=[Resume(folder), callback], verbose=0
        )
        return model

    class Stopped(Exception):
        pass

    def stop(epoch, logs):
        if epoch == 1:
            raise Stopped

    whole = values(train(3, tmp_path / "whole"))
    kzoo.set_seed(1)
    model, callback = unfreezing({"stage_2*": 1, "st*": 2})
    stopping = keras.callbacks.LambdaCallback(on_epoch_begin=stop)
    with pytest.raises(Stopped):
        model.fit(
            *(x, y), epochs=3, batch_size=6, shuffle=False, verbose=0,
            callbacks=[Resume(tmp_path / "cut"), callback, stopping],
        )  # fmt: skip
    resumed = values(train(3, tmp_path / "cut"))
    for path, wanted in whole.items():
        np.testing.assert_allclose(resumed[path], wanted, rtol=1e-6, atol=1e-6)


def test_weights_are_carried_over_to_other_classes_and_channels():
    trained, model = small(), small(num_classes=5, image_shape=(8, 8, 1))
    report = carry_over(trained, model)
    assert report.fresh == ("head/kernel", "head/bias") and list(report.adapted) == ["stem_conv/kernel"]
    kernel = keras.ops.convert_to_numpy(trained.get_layer("stem_conv").kernel)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model.get_layer("stem_conv").kernel),
        kernel.sum(2, keepdims=True),
        rtol=1e-6,
    )


@pytest.mark.once
def test_mistakes_are_told():
    model = small()
    with pytest.raises(ValueError, match=r"no layer's name matches.*'block\*'"):
        transfer.freeze(model, "block*")
    with pytest.raises(ValueError, match="nothing trainable is left"):
        transfer.freeze(model, "*")
    with pytest.raises(ValueError, match="whole number from 0 on"):
        ProgressiveUnfreezing({"st*": -1})
    model, callback = unfreezing({"stage_9*": 1})
    with pytest.raises(ValueError, match="no pattern 'stage_9"):
        model.fit(*data(), callbacks=[callback], verbose=0)
    with pytest.raises(ValueError, match=r"LayerwiseLearningRates.*Received: optimizer=SGD"):
        compiled(small(), "sgd").fit(*data(), callbacks=[callback], verbose=0)


@pytest.mark.once
def test_a_head_of_zeros_says_nothing_of_any_class():
    model = kzoo.create_model("cnn_small", image_shape=(8, 8, 1), num_classes=3)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    assert np.abs(model.predict(x, verbose=0)).max() > 0
    transfer.zero_head(model)
    np.testing.assert_array_equal(model.predict(x, verbose=0), 0)
    with pytest.raises(ValueError, match=r"no layer has this name\. Received: 'hat'"):
        transfer.zero_head(model, "hat")
