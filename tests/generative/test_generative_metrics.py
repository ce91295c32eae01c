"""Precision and recall of generated examples point by point, as the paper defines them, and the judge of images."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.judge import Judge
from kzoo.metrics import ManifoldPrecisionRecall


def by_hand(real, generated, k):
    """Loops over all pairs, as the definition reads."""

    def share_among(points, others):
        count = 0
        for point in points:
            for other in others:
                distances = sorted(np.linalg.norm(other - each) for each in others)
                if np.linalg.norm(point - other) <= distances[k]:  # the first is its own
                    count += 1
                    break
        return count / len(points)

    return {"precision": share_among(generated, real), "recall": share_among(real, generated)}


@pytest.mark.once
@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_are_those_of_the_definition(k):
    rng = np.random.default_rng(k)
    real, generated = rng.normal(size=(24, 3)), 0.6 * rng.normal(size=(17, 3)) + 0.3
    metric = ManifoldPrecisionRecall(neighbours=k)
    metric.update_state(real[:10], generated[:9])
    metric.update_state(real[10:], generated[9:])
    ours = metric.result()
    assert ours == by_hand(real, generated, k) and 0 < ours["recall"] < ours["precision"]


@pytest.mark.once
def test_what_is_real_but_all_alike_is_precise_and_forgets_much():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 4))
    metric = ManifoldPrecisionRecall()
    metric.update_state(real, real[:1] + 0.01 * rng.normal(size=(200, 4)))
    result = metric.result()
    assert result["precision"] > 0.95 and result["recall"] < 0.05
    metric.reset_state()
    metric.update_state(real, real[rng.permutation(200)])
    assert metric.result() == {"precision": 1.0, "recall": 1.0}


@pytest.mark.once
def test_bad_examples_are_refused():
    metric = ManifoldPrecisionRecall()
    with pytest.raises(ValueError, match="0 real and 0 generated"):
        metric.result()
    with pytest.raises(ValueError, match=r"shape=\(2, 3, 3\)"):
        metric.update_state(np.zeros((2, 3, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="sample_weight"):
        metric.update_state(np.zeros((2, 3)), np.zeros((2, 3)), sample_weight=[1, 2])
    with pytest.raises(ValueError, match="neighbours=0"):
        ManifoldPrecisionRecall(neighbours=0)


def test_a_judge_is_trained_once_and_prefers_real_images_to_noise(tmp_path):
    images = kzoo.data.load("digits", seed=0).take({"train": 400, "test": 100}, 0)
    judge = Judge.trained(images, tmp_path, model="mlp_small", epochs=10, batch_size=32)
    test, labels = images.test[0].astype("float32") / 255, images.test[1]
    known = images.train[0][:100].astype("float32") / 255
    accuracy = judge.agreement(test, labels)
    assert accuracy > 0.7
    noise = np.random.default_rng(0).uniform(size=test.shape).astype("float32")
    near, far = judge.compare(test, known), judge.compare(test, noise)
    assert near["fid"] < far["fid"] and near["precision"] > far["precision"]
    again = Judge.trained(images, tmp_path, model="mlp_small", epochs=10, batch_size=32)
    assert again.agreement(test, labels) == accuracy
    for one, other in zip(judge.classifier.weights, again.classifier.weights, strict=True):
        np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(w) for w in (one, other)))
