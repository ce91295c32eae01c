"""How far generated examples are from real ones, as normals in the space of some network's features."""

import warnings

import keras
from keras import ops

from kzoo.metrics.of_features import MetricOfFeatures


@keras.saving.register_keras_serializable("kzoo")
class FrechetDistance(MetricOfFeatures):
    """`‖μ - μ'‖² + tr(C + C' - 2 (C C')^½)` between the features of real and generated examples.

    With Inception's pooled features it is the FID of Heusel et al. (2017), arXiv:1706.08500; any Keras model may give
    the features. `update_state(real, generated)`; the two may differ in number.

    Means and scatter are merged batch by batch (Chan, Golub and LeVeque 1983), so that nothing is lost by cancellation,
    in float64 where the engine has it: on TensorFlow and PyTorch, and on JAX with `JAX_ENABLE_X64=1`. In float32 the
    features' covariance has a relative rounding error `e` of about 1e-7, of which the square root makes up to `√e` in
    directions where there is no variance: with fewer examples than features, take float64.

    The trace of the root is the sum of the roots of the eigenvalues of `C^½ C' C^½`, which is symmetric. `result` works
    in compiled steps too, but Keras calls it at every step there: with many features, whose eigenvalues take long,
    update this metric in a loop or a callback of its own.

    Args:
        feature_extractor: a model whose outputs are features `(b, dim)`, run without training; `None` if examples are
            features already.
        dim: how many features, needed without `feature_extractor`.

    Raises:
        ValueError: if the number of features is not known, or outputs are not `(b, dim)`.
    """

    def __init__(self, feature_extractor=None, dim=None, name="frechet_distance", dtype=None):
        super().__init__(feature_extractor, name=name, dtype=dtype)
        if feature_extractor is not None:
            shape = getattr(feature_extractor, "output_shape", ())  # none before the model is built
            if len(shape) != 2 or shape[-1] is None:
                raise ValueError(
                    f"the extractor must be built and its features (b, dim): pool them. Received: output_shape={shape}"
                )
            if dim not in (None, shape[-1]):
                raise ValueError(f"the extractor has {shape[-1]} features. Received: dim={dim}")
            dim = shape[-1]
        if dim is None:
            raise ValueError("say how many features there are. Received: feature_extractor=None, dim=None")
        self.dim = dim
        self._direction = "down"
        wide = _widest()
        self._moments = []
        for of in ("real", "generated"):
            shapes = {"count": (), "mean": (dim,), "scatter": (dim, dim)}
            made = {
                key: self.add_variable(shape, initializer="zeros", dtype=wide, name=f"{of}_{key}")
                for key, shape in shapes.items()
            }
            self._moments.append(made)

    def update_state(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            raise ValueError("the distance of weighted examples is not defined here. Received: sample_weight")
        for examples, moments in zip((y_true, y_pred), self._moments):
            self._merge(examples, moments)

    def _merge(self, examples, moments):
        features = ops.cast(self.features_of(examples), moments["mean"].dtype)
        if len(features.shape) != 2 or features.shape[1] != self.dim:
            raise ValueError(f"features must be (b, {self.dim}). Received: shape={features.shape}")
        fresh = ops.cast(ops.shape(features)[0], features.dtype)
        count = moments["count"] + fresh
        mean = ops.mean(features, axis=0)
        centred = features - mean
        moved = mean - moments["mean"]
        share = fresh / count
        # The step of the mean is one more row of the same product.
        step = moved * ops.sqrt(moments["count"] * share)
        rows = ops.concatenate([centred, step[None]], axis=0)
        moments["scatter"].assign_add(ops.matmul(ops.transpose(rows), rows))
        moments["mean"].assign_add(moved * share)
        moments["count"].assign(count)

    def result(self):
        real, generated = (
            moments["scatter"] / ops.maximum(moments["count"] - 1.0, 1.0) for moments in self._moments
        )
        values, vectors = ops.linalg.eigh(real)
        root = ops.matmul(vectors * ops.sqrt(ops.relu(values)), ops.transpose(vectors))
        product = ops.matmul(ops.matmul(root, generated), root)
        shared = ops.linalg.eigh(0.5 * (product + ops.transpose(product)))[0]
        apart = ops.sum(ops.square(self._moments[0]["mean"] - self._moments[1]["mean"]))
        distance = apart + ops.trace(real) + ops.trace(generated) - 2.0 * ops.sum(ops.sqrt(ops.relu(shared)))
        return ops.cast(ops.relu(distance), self.dtype)

    def get_config(self):
        return super().get_config() | {"dim": self.dim}


def _widest():
    """float64, or what the engine makes of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX says that it makes float32 of it
        return keras.backend.standardize_dtype(ops.zeros((), dtype="float64").dtype)
