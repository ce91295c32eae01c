"""`computed`: a function's results as NumPy arrays, on JAX from one program."""

import keras
from keras import ops


def computed(function, *args):
    """`function(*args)` in NumPy. Op by op JAX would compile every one; state that changes is seen inside only there.

    Layers must be built before: what is created inside would not outlive the program.
    """
    args = keras.tree.map_structure(ops.convert_to_tensor, args)
    if keras.config.backend() == "jax":
        import jax

        def program(*args):
            with keras.StatelessScope():
                return function(*args)

        results = jax.jit(program)(*args)
    else:
        results = function(*args)
    return keras.tree.map_structure(ops.convert_to_numpy, results)
