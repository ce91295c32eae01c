"""`KernelWrapper`: runs a layer with a function of its kernel in the kernel's place."""

import inspect

import keras
from keras import layers, ops

from kzoo.backend.state import values_of


class KernelWrapper(layers.Wrapper):
    """What wrappers that reparameterise a weight share.

    The wrapped layer stays as it is, with its variables, and its own `call` does the computing: only the value it
    reads for one variable is another. Any layer can be wrapped that has one variable of that name, an LSTM's
    `recurrent_kernel` too.

    Args:
        layer: the layer to wrap.
        weight: the name of its variable to replace.
    """

    def __init__(self, layer, weight="kernel", **kwargs):
        if isinstance(layer, keras.Layer):
            kwargs.setdefault("dtype", layer.dtype_policy.name)  # the object itself would be saved as shared
            if getattr(layer, "activity_regularizer", None) is not None:
                raise ValueError(
                    f"give activity_regularizer to {type(self).__name__}, not to the layer it wraps. "
                    f"Received: layer={layer.name!r} with activity_regularizer={layer.activity_regularizer!r}"
                )
        super().__init__(layer, **kwargs)
        self.weight = weight
        self.supports_masking = layer.supports_masking
        self._options = {"training", "mask"} & set(inspect.signature(layer.call).parameters)

    def build(self, input_shape):
        super().build(input_shape)
        self.kernel  # noqa: B018  raises here if there is no such variable
        self.built = True

    @property
    def kernel(self):
        """The wrapped layer's variable that is replaced."""
        found = [variable for variable in self.layer.weights if variable.name == self.weight]
        if len(found) != 1:
            names = ", ".join(variable.name for variable in self.layer.weights) or "none"
            raise ValueError(
                f"{type(self).__name__} needs a layer with one variable of the name it replaces; this one's are: "
                f"{names}. Received: weight={self.weight!r}, layer={self.layer.name!r}"
            )
        return found[0]

    @property
    def kernel_value(self):
        """The kernel as it is stored: mixed precision must not round it before its norm is taken."""
        return values_of([self.kernel])[0]

    def run(self, kernel, inputs, **options):
        """The wrapped layer's output with `kernel` in the place of its own."""
        layer, replaced = self.layer, self.kernel

        def given(variables):
            values = [ops.convert_to_tensor(value) for value in values_of(variables)]
            return [kernel if variable is replaced else value for variable, value in zip(variables, values)]

        trained, state = given(layer.trainable_variables), given(layer.non_trainable_variables)
        options = {name: value for name, value in options.items() if name in self._options}
        outputs, updated = layer.stateless_call(trained, state, inputs, **options)
        for variable, before, after in zip(layer.non_trainable_variables, state, updated):
            # Only what changed: exported graphs are frozen, and refuse an assignment.
            if variable is not replaced and after is not before:
                variable.assign(after)
        return outputs

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def compute_mask(self, inputs, mask=None):
        return self.layer.compute_mask(inputs, mask)

    def get_config(self):
        return super().get_config() | {"weight": self.weight}


def output_axes(layer, rank):
    """The axes of a kernel that number a layer's outputs, by what the layer is; all others lead to one output."""
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        return (rank - 2, rank - 1)
    if isinstance(layer, layers.Conv1DTranspose | layers.Conv2DTranspose | layers.Conv3DTranspose):
        return (rank - 2,)
    return (rank - 1,)


def check_axes(axes):
    """`None`, or the axes that number the outputs as a tuple of whole numbers."""
    if axes is None:
        return None
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    if not axes or not all(isinstance(axis, int) for axis in axes):
        raise ValueError(f"axes must be whole numbers, or None to tell by the layer. Received: axes={axes!r}")
    return axes


def reduced_axes(layer, rank, axes):
    """The axes over which one output's weights lie."""
    kept = output_axes(layer, rank) if axes is None else tuple(axis % rank for axis in axes)
    return tuple(axis for axis in range(rank) if axis not in kept)
