"""TensorFlow SavedModel: a plain `tf.Module` with the signature `serving_default`.

Keras's own export writes each variable twice; a module that holds the variables once is half the size.
"""

import tensorflow as tf

from kzoo.export.runners import SIGNATURE
from kzoo.export.tracing import trace


def convert(model, path, batch=None):
    """Writes the SavedModel directory `path`, with named inputs and outputs."""
    function, _ = trace(model, batch, inline=False)
    module = tf.Module()
    module.variables_of_model = [variable.value for variable in model.variables]
    save(module, path, function.get_concrete_function())


def save(module, path, function):
    """Saves a module, for inference only, with a concrete function of it as `serving_default`."""
    # The gradient of swish refers to tensors that a frozen graph does not have any more.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(path), signatures={SIGNATURE: function}, options=options)
