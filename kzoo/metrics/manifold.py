"""Whether generated examples look real, and whether they show all that is real: two figures for what FID has as one."""

import keras
import numpy as np
from keras import ops

from kzoo.layers.arguments import check_whole
from kzoo.metrics.of_features import MetricOfFeatures

AT_ONCE = 1024  # rows of distances


@keras.saving.register_keras_serializable("kzoo")
class ManifoldPrecisionRecall(MetricOfFeatures):
    """The share of generated examples among the real ones (precision), and of real ones among the generated (recall).

    Kynkäänniemi et al. (2019), Improved Precision and Recall Metric for Assessing Generative Models, arXiv:1904.06991.
    An example is among others if it is no further from one of them than that one's k-th neighbour of its own kind. Take
    as many of one kind as of the other: both figures depend on how many there are.

    `update_state(real, generated)` keeps the features and `result` compares all with all, on the host: call it in a
    loop or a callback of your own, not in a compiled step.

    Args:
        feature_extractor: a built model whose outputs are features `(b, dim)`, run without training; `None` if examples
            are features already.
        neighbours: k.
    """

    def __init__(self, feature_extractor=None, neighbours=3, name="manifold", dtype=None):
        super().__init__(feature_extractor, name=name, dtype=dtype)
        check_whole(neighbours=neighbours)
        self.neighbours = neighbours
        self._features = ([], [])

    def update_state(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            raise ValueError("examples cannot be weighted here. Received: sample_weight")
        for examples, kept in zip((y_true, y_pred), self._features):
            features = ops.convert_to_numpy(self.features_of(examples)).astype("float64")
            if features.ndim != 2:
                raise ValueError(f"features must be (b, dim): pool them. Received: shape={features.shape}")
            kept.append(features)

    def result(self):
        """`{"precision", "recall"}`.

        Raises:
            ValueError: if there are not more examples of each kind than neighbours.
        """
        real, generated = (np.concatenate(kept) if kept else np.empty((0, 0)) for kept in self._features)
        if min(len(real), len(generated)) <= self.neighbours:
            raise ValueError(
                f"there must be more than {self.neighbours} examples of each kind. "
                f"Received: {len(real)} real and {len(generated)} generated"
            )
        return {
            "precision": _share_among(generated, real, self.neighbours),
            "recall": _share_among(real, generated, self.neighbours),
        }

    def reset_state(self):
        for kept in self._features:
            kept.clear()

    def get_config(self):
        return super().get_config() | {"neighbours": self.neighbours}


def _share_among(points, others, k):
    """The share of the points that lie in the ball of one of the others, which reaches to its k-th neighbour."""
    radii = np.concatenate(
        [
            np.partition(_squares(rows, others), k, axis=1)[:, k]  # the nearest is itself
            for rows in _parts(others)
        ]
    )
    return float(
        np.mean(np.concatenate([(_squares(rows, others) <= radii).any(1) for rows in _parts(points)]))
    )


def _parts(points):
    return (points[i : i + AT_ONCE] for i in range(0, len(points), AT_ONCE))


def _squares(a, b):
    """Squared distances of all rows of a to all of b."""
    return np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0)
