"""Metrics that count on the engine, against torchmetrics, scikit-learn, scipy, keras-hub's rule and Keras itself."""

import keras
import numpy as np
import pytest
import scipy.linalg
import torch
import torchmetrics
from cases.metrics import (
    CLASSES,
    FEATURES,
    METRICS,
    PICTURES,
    RANKINGS,
    SEGMENTS,
    TOKENS,
    doubled,
    images,
    softmax,
)
from keras import ops
from sklearn.metrics import f1_score, ndcg_score
from torchmetrics.functional.classification import multiclass_calibration_error
from torchmetrics.functional.image import structural_similarity_index_measure

from kzoo import metrics


def ours(case):
    """The result after all batches, in float32."""
    metric, batches = METRICS[case]()
    return after(metric, batches)


def after(metric, batches):
    """The metric's result after some batches, in float32; on JAX compiled, as in `evaluate`."""
    batches = [tuple(a.astype("float32") if a.dtype.kind == "f" else a for a in batch) for batch in batches]

    def run(variables, batches):
        for batch in batches:
            variables = metric.stateless_update_state(variables, *batch)
        return metric.stateless_result(variables)

    if keras.config.backend() == "jax":
        import jax

        run = jax.jit(run)
    return ops.convert_to_numpy(run([variable.value for variable in metric.variables], batches))


def together(batches):
    return tuple(np.concatenate(arrays) for arrays in zip(*batches))


def perplexity(labels, probabilities, weights):
    nats = -np.log(np.take_along_axis(probabilities, labels[..., None], -1)[..., 0])
    return np.exp(np.sum(nats * weights) / np.sum(weights))


def test_perplexity_is_that_of_torchmetrics_and_of_its_definition():
    y, logits = together(TOKENS)
    theirs = torchmetrics.functional.text.perplexity(torch.tensor(logits), torch.tensor(y).long())
    np.testing.assert_allclose(ours("Perplexity"), theirs, rtol=1e-5)
    weights = np.tile([0.5, 2.0], 2)[:, None] * (y != 0)
    np.testing.assert_allclose(
        ours("Perplexity, ignored and weighted"), perplexity(y, softmax(logits), weights), rtol=1e-5
    )


def test_perplexity_counts_tokens_and_not_batches():
    metric = metrics.Perplexity(from_logits=True, ignore_class=-100)
    y, logits = TOKENS[0][0], TOKENS[0][1].astype("float32")
    long, short = np.where(np.arange(5) < 5, y, -100), np.where(np.arange(5) < 2, y, -100)
    for labels in (long, short):
        metric.update_state(labels, logits)
    weights = np.concatenate([long, short]) >= 0
    expected = perplexity(np.tile(y, (2, 1)), softmax(np.tile(logits, (2, 1, 1))), weights)
    np.testing.assert_allclose(float(metric.result()), expected, rtol=1e-5)
    metric.reset_state()
    metric.update_state(np.full_like(y, -100), logits)
    assert float(metric.result()) == 0.0  # nothing but padding
    metric.update_state(np.zeros_like(y), np.broadcast_to(np.eye(7)[0] * 1e4, logits.shape).astype("float32"))
    assert float(metric.result()) == 1.0  # sure and right


def test_perplexity_leaves_out_what_the_model_masks():
    inputs = keras.Input((5,), dtype="int32")
    outputs = keras.layers.Embedding(7, 7, mask_zero=True)(inputs)
    model = keras.Model(inputs, outputs)
    x = np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=[metrics.Perplexity(from_logits=True)])
    found = model.evaluate(x, x, verbose=0, return_dict=True)["perplexity"]
    logits = model.layers[1].get_weights()[0][x]
    np.testing.assert_allclose(found, perplexity(x, softmax(logits), x != 0), rtol=1e-5)


def test_dice_is_the_f1_of_pixels_and_keras_iou_transformed():
    y, scores = together(SEGMENTS)
    predicted = scores.argmax(-1)
    np.testing.assert_allclose(
        ours("DiceScore"), f1_score(y.ravel(), predicted.ravel(), average="macro"), rtol=1e-5
    )
    counted = y.ravel() != 2
    expected = f1_score(
        y.ravel()[counted], predicted.ravel()[counted], labels=range(4), average=None, zero_division=0
    )
    np.testing.assert_allclose(ours("DiceScore, per class"), expected, rtol=1e-5)
    iou = after(keras.metrics.IoU(4, [1], sparse_y_pred=False), SEGMENTS)
    every = after(metrics.DiceScore(4, average=None), SEGMENTS)
    np.testing.assert_allclose(every[1], 2 * iou / (1 + iou), rtol=1e-5)


def test_dice_of_nothing_is_zero_and_classes_that_do_not_occur_are_left_out():
    metric = metrics.DiceScore(5, include_background=False, sparse_y_pred=True)
    assert after(metric, []) == 0.0
    assert after(metric, [(np.array([[0, 1, 1, 3]]), np.array([[0, 1, 1, 3]]))]) == 1.0


def test_calibration_errors_are_those_of_torchmetrics():
    y, p = (torch.tensor(a) for a in together(CLASSES))
    theirs = {
        norm: multiclass_calibration_error(p.float(), y.long(), 4, n_bins=10, norm=norm)
        for norm in ("l1", "max")
    }
    np.testing.assert_allclose(ours("ExpectedCalibrationError"), theirs["l1"], rtol=1e-5)
    np.testing.assert_allclose(ours("MaximumCalibrationError"), theirs["max"], rtol=1e-5)


def test_weights_of_calibration_count_as_repeated_examples():
    y, p = CLASSES[0][0], CLASSES[0][1].astype("float32")
    weights = np.arange(20) % 3
    weighted, repeated = metrics.ExpectedCalibrationError(10), metrics.ExpectedCalibrationError(10)
    weighted.update_state(y, p, weights)
    repeated.update_state(np.repeat(y, weights), np.repeat(p, weights, axis=0))
    np.testing.assert_allclose(float(weighted.result()), float(repeated.result()), rtol=1e-5)
    diagram = weighted.reliability()
    full = diagram["weight"] > 0
    gaps = np.abs(diagram["accuracy"] - diagram["confidence"])[full] * diagram["weight"][full]
    np.testing.assert_allclose(np.sum(gaps) / 19, float(weighted.result()), rtol=1e-5)
    assert np.isnan(diagram["accuracy"][~full]).all() and diagram["edges"].shape == (11,)


def test_a_sure_and_right_classifier_is_calibrated_and_nothing_seen_gives_zero():
    metric = metrics.MaximumCalibrationError(5, from_logits=True)
    assert float(metric.result()) == 0.0
    metric.update_state(np.array([0, 1]), 1e4 * np.eye(2, dtype="float32"))
    assert float(metric.result()) == 0.0


def test_image_qualities_are_those_of_torchmetrics():
    x, y = (torch.tensor(a).float().permute(0, 3, 1, 2) for a in together(PICTURES))
    theirs = torchmetrics.functional.image.peak_signal_noise_ratio(
        y, x, data_range=1.0, dim=(1, 2, 3), reduction="elementwise_mean"
    )
    np.testing.assert_allclose(ours("PSNR"), theirs, rtol=1e-5)
    theirs, everywhere = structural_similarity_index_measure(
        y.double(), x.double(), data_range=1.0, return_full_image=True
    )
    np.testing.assert_allclose(ours("SSIM, reflect"), theirs, rtol=1e-4)
    np.testing.assert_allclose(ours("SSIM"), everywhere[..., 5:-5, 5:-5].mean(), rtol=1e-4)


def test_bytes_and_fractions_give_the_same_qualities_and_equal_images_the_best():
    first, second = (np.round(255 * a).astype("float32") for a in images(0))
    for of, best in ((metrics.PSNR, 100.0), (metrics.SSIM, 1.0)):
        found = []
        for scale in (1.0, 255.0):
            metric = of(max_value=scale)
            metric.update_state(first / 255 * scale, second / 255 * scale)
            found.append(float(metric.result()))
        np.testing.assert_allclose(*found, rtol=1e-4)
        metric.reset_state()
        metric.update_state(first, first)
        np.testing.assert_allclose(float(metric.result()), best, rtol=1e-5)
        metric.update_state(first, second, sample_weight=np.zeros(3))
        np.testing.assert_allclose(float(metric.result()), best, rtol=1e-5)


def frechet(real, generated):
    first, second = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second).real
    apart = real.mean(axis=0) - generated.mean(axis=0)
    return apart @ apart + np.trace(first + second - 2 * root)


def test_frechet_distance_is_the_formula_over_all_batches():
    real, generated = together(FEATURES)
    np.testing.assert_allclose(ours("FrechetDistance"), frechet(real, generated), rtol=2e-5)
    model = doubled()
    real, generated = (np.asarray(model.predict(a, verbose=0)) for a in (real, generated))
    np.testing.assert_allclose(ours("FrechetDistance, extractor"), frechet(real, generated), rtol=2e-5)


def test_frechet_distance_loses_no_digits_far_from_the_origin_and_is_zero_of_itself():
    metric = metrics.FrechetDistance(dim=8)
    assert float(metric.result()) == 0.0
    moved = [np.round(a * 64) / 64 for a in together(FEATURES)]  # exact also after adding a thousand
    for rows in (slice(0, 7), slice(7, 40)):
        metric.update_state(*(1000 + a[rows].astype("float32") for a in moved))
    np.testing.assert_allclose(float(metric.result()), frechet(*moved), rtol=1e-3)
    metric.reset_state()
    metric.update_state(moved[0], moved[0])
    np.testing.assert_allclose(float(metric.result()), 0.0, atol=1e-4)


def test_ndcg_is_that_of_scikit_learn():
    y, scores = together(RANKINGS)
    np.testing.assert_allclose(ours("NDCG"), ndcg_score(y, scores), rtol=1e-5)
    np.testing.assert_allclose(ours("NDCG, exponential at 3"), ndcg_score(2.0**y - 1, scores, k=3), rtol=1e-5)


def test_hit_rate_counts_lists_and_is_keras_top_k_for_one_relevant_item():
    y, scores = together(RANKINGS)
    best = np.argsort(-scores, axis=1)[:, :2]
    np.testing.assert_allclose(
        ours("HitRate"), np.mean(np.take_along_axis(y, best, 1).any(axis=1)), rtol=1e-6
    )
    one = np.eye(8)[y[:, 0]]
    metric, theirs = metrics.HitRate(3), keras.metrics.TopKCategoricalAccuracy(3)
    for m in (metric, theirs):
        m.update_state(one, scores.astype("float32"))
    assert float(metric.result()) == float(theirs.result()) > 0
    metric.reset_state()
    metric.update_state(np.zeros((2, 3)), np.zeros((2, 3)))  # k above the number of items, nothing relevant
    assert float(metric.result()) == 0.0


def test_compiled_evaluation_gives_the_eager_result():
    """In `evaluate`'s compiled step, with a last batch of another size and a half-precision model."""
    keras.config.set_dtype_policy("mixed_float16")
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    keras.config.set_dtype_policy("float32")
    model.compile(loss="mse", metrics=[metrics.NDCG(3), metrics.HitRate(2), metrics.FrechetDistance(dim=8)])
    x, y = (np.concatenate([a, a[:1]]).astype("float16") for a in (FEATURES[0][1], np.abs(FEATURES[0][0])))
    found = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    for metric in (metrics.NDCG(3), metrics.HitRate(2), metrics.FrechetDistance(dim=8)):
        metric.update_state(y.astype("float32"), x.astype("float32"))
        np.testing.assert_allclose(found[metric.name], float(metric.result()), rtol=1e-4)


def test_a_compiled_model_is_saved_with_its_metrics(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Softmax()(inputs))
    made = [metrics.ExpectedCalibrationError(5), metrics.Perplexity(ignore_class=1)]
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=made)
    y, x = CLASSES[0]
    before = model.evaluate(x, y, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    after = keras.saving.load_model(tmp_path / "model.keras").evaluate(x, y, verbose=0, return_dict=True)
    assert before == after and set(before) == {"loss", "expected_calibration_error", "perplexity"}


CONFIGURED = {
    "Perplexity": {"from_logits": True, "ignore_class": -100},
    "DiceScore": {"num_classes": 3, "average": None, "ignore_class": 1, "include_background": False},
    "ExpectedCalibrationError": {"num_bins": 7, "from_logits": True},
    "MaximumCalibrationError": {"num_bins": 7, "from_logits": True},
    "PSNR": {"max_value": 255.0},
    "SSIM": {
        "max_value": 255.0,
        "filter_size": 7,
        "filter_sigma": 1.0,
        "k1": 0.02,
        "k2": 0.05,
        "padding": "reflect",
    },
    "FrechetDistance": {"dim": 5},
    "ManifoldPrecisionRecall": {"neighbours": 5},
    "NDCG": {"k": 4, "exponential": True},
    "HitRate": {"k": 4},
}


@pytest.mark.once
def test_every_metric_survives_saving_with_its_configuration():
    classes = {name for name in metrics.__all__ if issubclass(getattr(metrics, name), keras.metrics.Metric)}
    assert classes == set(CONFIGURED)
    for name, configuration in CONFIGURED.items():
        saved = keras.saving.serialize_keras_object(getattr(metrics, name)(**configuration, name="mine"))
        restored = keras.saving.deserialize_keras_object(saved)
        assert keras.saving.serialize_keras_object(restored) == saved
        assert type(restored).__name__ == name and restored.name == "mine"
        for argument, value in configuration.items():
            assert getattr(restored, argument) == value
    extractor = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, name="features")])
    saved = keras.saving.serialize_keras_object(metrics.FrechetDistance(extractor))
    assert (
        keras.saving.deserialize_keras_object(saved).feature_extractor.get_config() == extractor.get_config()
    )


@pytest.mark.once
@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: metrics.Perplexity().update_state(np.zeros((2, 3)), np.zeros((2, 3))), "y_pred.shape"),
        (lambda: metrics.DiceScore(3, average="micro"), "average='micro'"),
        (lambda: metrics.ExpectedCalibrationError(0), "num_bins=0"),
        (
            lambda: metrics.ExpectedCalibrationError().update_state(np.zeros(3), np.zeros((3, 1))),
            "y_pred.shape",
        ),
        (lambda: metrics.PSNR(0.0), "max_value=0.0"),
        (lambda: metrics.PSNR().update_state(np.zeros((8, 8, 1)), np.zeros((8, 8, 1))), "y_true.shape"),
        (lambda: metrics.SSIM().update_state(np.zeros((1, 8, 8, 1)), np.zeros((1, 8, 8, 1))), "y_true.shape"),
        (lambda: metrics.SSIM(padding="same"), "padding='same'"),
        (lambda: metrics.SSIM(filter_size=4), "filter_size=4"),
        (lambda: metrics.FrechetDistance(), "dim=None"),
        (lambda: metrics.FrechetDistance(dim=3).update_state(np.zeros((2, 4)), np.zeros((2, 4))), "shape="),
        (lambda: metrics.FrechetDistance(dim=3).update_state(0, 0, sample_weight=1), "sample_weight"),
        (lambda: metrics.FrechetDistance(keras.Sequential([keras.Input((4, 4))])), "output_shape"),
        (lambda: metrics.NDCG(0), "k=0"),
        (lambda: metrics.HitRate(None), "k=None"),
        (lambda: metrics.HitRate().update_state(np.zeros(3), np.zeros(3)), "y_pred.shape"),
    ],
)
def test_wrong_arguments_are_refused_with_what_was_received(act, message):
    with pytest.raises(ValueError, match=r"Received: ") as caught:
        act()
    assert message in str(caught.value)
