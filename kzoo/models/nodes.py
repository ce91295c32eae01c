"""The graph of a functional or sequential model, call by call."""

import keras


def functional(model):
    """The model as a functional one.

    Raises:
        ValueError: for a subclassed model, whose graph is not known.
    """
    if hasattr(model, "_nodes_by_depth"):
        return model
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs, model.outputs, name=model.name)
    raise ValueError(
        "only built functional and sequential models have a graph that can be read. Received: "
        f"model={model.name!r}, a {type(model).__name__}"
    )


def nodes_of(model):
    """Each call of a layer, inputs first: nodes with `operation`, `input_tensors` and `output_tensors`."""
    by_depth = functional(model)._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
