"""Other learning rates for some layers, by the paths of their variables."""

import fnmatch
import re

import keras
from keras import ops

from kzoo.engine import unknown
from kzoo.optimizers.wrapped import Wrapped


@keras.saving.register_keras_serializable("kzoo")
class LayerwiseLearningRates(Wrapped):
    """Multiplies the learning rate of the variables whose path matches a pattern.

    ```python
    LayerwiseLearningRates(keras.optimizers.AdamW(1e-3), {"stem*": 0.1, "block_1*": 0.3})
    ```

    The step that the optimizer inside makes is multiplied, decoupled weight decay included, which for every optimizer
    of Keras whose steps grow with its rate is the same as a rate of its own. Clipping by the global norm sees all
    gradients together, as without it. A factor of 0 keeps a variable as it is. The factors of patterns are variables:
    `set_factor` changes one between steps, as `kzoo.callbacks.ProgressiveUnfreezing` does.

    Also called discriminative rates: Howard & Ruder (2018), arXiv:1801.06146; layer decay: Bao et al. (2021),
    arXiv:2106.08254, see `layer_decay`.

    Args:
        optimizer: the optimizer inside, or its name.
        factors: shell pattern of a variable's path, or of a part of it that begins at a layer's name, to the factor.
            The first that matches counts.
        default: the factor of variables that none matches.
        name: its name.

    Raises:
        ValueError: when it is built, if a pattern matches no variable.
    """

    def __init__(self, optimizer, factors, default=1.0, name="layerwise_learning_rates"):
        super().__init__(optimizer, name)
        factors = dict(factors)
        for pattern, factor in [*factors.items(), ("default", default)]:
            if not factor >= 0:
                raise ValueError(f"a factor must not be negative. Received: {pattern!r}: {factor!r}")
        # As pairs: Keras would take a dict attribute for a holder of variables.
        self._factors, self.default = tuple(factors.items()), default

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        paths = [variable.path for variable in variables]
        for pattern, _ in self._factors:
            if not any(matches(path, pattern) for path in paths):
                raise ValueError(
                    f"no variable's path matches. Received: {pattern!r}; paths begin with "
                    f"{', '.join(sorted({path.rpartition('/')[0] for path in paths})[:8])}"
                )
        self._scales = [
            self.add_variable((), keras.initializers.Constant(factor), "float32", name=f"factor_{i}")
            for i, (_, factor) in enumerate(self._factors)
        ]

    @property
    def factors(self):
        """Pattern to the factor it was made with."""
        return dict(self._factors)

    def set_factor(self, pattern, factor):
        """Changes the factor of a pattern from the next step on.

        Raises:
            ValueError: if the pattern is none of those it was made with, or the factor is negative.
        """
        patterns = [pattern for pattern, _ in self._factors]
        if pattern not in patterns:
            raise unknown("pattern", pattern, patterns)
        if not factor >= 0:
            raise ValueError(f"a factor must not be negative. Received: {pattern!r}: {factor!r}")
        self._scales[patterns.index(pattern)].assign(factor)

    def _scale(self, variable):
        """The factor of a variable: a variable too, or a number."""
        places = (i for i, (pattern, _) in enumerate(self._factors) if matches(variable.path, pattern))
        place = next(places, None)
        return self.default if place is None else self._scales[place]

    def factor(self, variable):
        """The factor of a variable now, a float."""
        return float(ops.convert_to_numpy(self._scale(variable)))

    def apply(self, grads, trainable_variables=None):
        variables = self.targets(trainable_variables)
        scaled = [(variable, self._scale(variable)) for variable in variables]
        scaled = [
            (variable, scale, ops.copy(variable))
            for variable, scale in scaled
            if isinstance(scale, keras.Variable) or scale != 1
        ]
        self.inner.apply(grads, variables)
        for variable, scale, before in scaled:
            scale = ops.cast(scale, variable.dtype)
            variable.assign(before + scale * (ops.convert_to_tensor(variable) - before))

    def get_config(self):
        return {**super().get_config(), "factors": dict(self._factors), "default": self.default}


def matches(path, pattern):
    """Whether a pattern fits a variable's path from its beginning or from one of its parts on."""
    parts = path.split("/")
    return any(fnmatch.fnmatchcase("/".join(parts[i:]), pattern) for i in range(len(parts)))


def layer_decay(model, decay=0.75):
    """Factors that fall from 1 at the last layer with weights by `decay` a layer: for `LayerwiseLearningRates`.

    Blocks that are models or layers of their own count as one. A trailing number in names of equal beginning does not
    matter: what counts is the order of `model.layers`.

    Args:
        model: a built model.
        decay: the ratio of one layer's rate to the next one's, above 0 and not above 1.

    Returns:
        A dict from patterns to factors.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"decay must lie above 0 and not above 1. Received: decay={decay!r}")
    layers = [layer for layer in model.layers if layer.trainable_variables]
    prefix = {layer.name: _common_path(layer) for layer in layers}
    return {f"{prefix[layer.name]}*": decay ** (len(layers) - 1 - i) for i, layer in enumerate(layers)}


def _common_path(layer):
    path = layer.trainable_variables[0].path
    start = re.search(rf"(^|/){re.escape(layer.name)}/", path)
    return path[: start.end()] if start else path
