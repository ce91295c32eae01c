"""A picture of what the training monitor saw."""

import numpy as np

from kzoo.plots.drawing import INK, MUTED, WRONG, drawn, dress, shortened


def health(looks, path, title=""):
    """Draws the size of each variable's gradient, each layer's spread of outputs and its share of dead units.

    Args:
        looks: one dict per look, as `kzoo.callbacks.TrainingMonitor` keeps them.
        path: the PNG to write.
        title: what stands above.
    """
    if not looks:
        raise ValueError("there is nothing to draw yet: the monitor has not looked. Received: looks=[]")
    panels = [
        ("gradients", "gradient, root mean square", True),
        ("activations", "output, standard deviation", True),
        ("dead", "dead units, share", False),
    ]
    panels = [panel for panel in panels if any(look[panel[0]] for look in looks)]
    epochs = [look["epoch"] + 1 for look in looks]
    with drawn(path, (4.4 * len(panels), 3.8), title) as figure:
        from matplotlib import colormaps

        for axes, (key, label, logarithmic) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
            names = [name for name in looks[0][key] if key != "gradients" or _is_matrix(name, looks)]
            shades = colormaps["viridis"](np.linspace(0.0, 0.88, max(len(names), 1)))
            for name, shade in zip(names, shades):
                values = [look[key].get(name, np.nan) for look in looks]
                ends = {0: "first: ", len(names) - 1: "last: "}
                axes.plot(
                    epochs,
                    values,
                    color=shade,
                    linewidth=1.8,
                    marker="o" if len(looks) == 1 else "",
                    label=ends.get(names.index(name), "") + shortened(name.removesuffix("/kernel"), 20),
                )
            if logarithmic and any(value > 0 for look in looks for value in look[key].values()):
                axes.set_yscale("log")
            if key == "dead":
                axes.set_ylim(-0.03, 1.03)
                axes.axhline(0.5, color=WRONG, linewidth=0.8, linestyle=":")
            dress(axes, "epoch", "")
            axes.set_title(label, fontsize=10, color=MUTED, loc="left")
            axes.xaxis.get_major_locator().set_params(integer=True)
            if len(names) <= 8:
                axes.legend(frameon=False, fontsize=7.5, labelcolor=INK)
    return path


def _is_matrix(name, looks):
    """Kernels and embeddings; biases and scales would only crowd the picture, unless there is nothing else."""
    has_kernels = any(path.endswith(("kernel", "embeddings")) for path in looks[0]["gradients"])
    return not has_kernels or name.endswith(("kernel", "embeddings"))
