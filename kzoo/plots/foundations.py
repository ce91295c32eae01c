"""Pictures of the foundations: decision surfaces, optimizers racing, gradient flow, heat maps, computation graphs."""

import numpy as np

from kzoo.engine import require
from kzoo.plots.drawing import COLOURS, INK, MUTED, drawn, dress, shortened


def decision_surfaces(panels, points, labels, path, title=""):
    """Draws what classifiers of the plane say at every place, with the points they were to learn.

    Args:
        panels: title to a function from points, `(n, 2)`, to the probability of class 1, `(n,)`.
        points: `(n, 2)`.
        labels: 0 or 1, `(n,)`.
        path: the PNG to write.
        title: what stands above.
    """
    points, labels = np.asarray(points, "float64"), np.asarray(labels)
    low, high = points.min(0), points.max(0)
    low, high = low - 0.35 * (high - low), high + 0.35 * (high - low)
    x, y = np.meshgrid(*(np.linspace(a, b, 241) for a, b in zip(low, high)))
    with drawn(path, (3.9 * len(panels) + 0.5, 4.1), title) as figure:
        every = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (name, probability) in zip(every, panels.items()):
            values = np.asarray(probability(np.stack([x.ravel(), y.ravel()], -1))).reshape(x.shape)
            shown = axes.imshow(
                values, origin="lower", extent=(low[0], high[0], low[1], high[1]), cmap="RdBu_r", vmin=0, vmax=1,
                alpha=0.5, aspect="auto",
            )  # fmt: skip
            if values.min() < 0.5 < values.max():
                axes.contour(x, y, values, levels=[0.5], colors=[INK], linewidths=1.4)
            for label, face in ((0, COLOURS[0]), (1, COLOURS[5])):
                place = points[labels == label]
                axes.scatter(*place.T, s=75, color=face, edgecolor="white", linewidth=1.6, zorder=3)
            dress(axes, "first input", "second input" if axes is every[0] else "")
            axes.grid(False)
            axes.set_title(name, fontsize=10, color=INK)
        bar = figure.colorbar(shown, ax=list(every), shrink=0.9, pad=0.02)
        bar.set_label("probability of 1", color=MUTED, fontsize=9)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, color="#bdbdbd", labelcolor=INK)
    return path


def race(surface, box, routes, curves, path, title="", minimum=None, x="step", y="loss"):
    """Draws routes over the contours of a surface on the left, and a curve for each name on the right.

    Args:
        surface: a function of arrays `x`, `y`, positive; the contours are evenly apart in its logarithm.
        box: `(left, right, bottom, top)` of the plane.
        routes: name to places, `(steps, 2)`.
        curves: name to `(x, y)` of its curve; the same names.
        path: the PNG to write.
        title: what stands above.
        minimum: the surface's lowest place, marked.
        x, y: what the right axes are called; `y` is drawn on a logarithmic axis.
    """
    styles = dict(zip(routes, [(c, s) for s in ("-", (0, (4, 1.5))) for c in COLOURS]))
    with drawn(path, (11.5, 4.7), title) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
        grid = np.meshgrid(np.linspace(*box[:2], 400), np.linspace(*box[2:], 400))
        height = np.log10(surface(*grid) + 1e-3)
        left.contourf(*grid, height, levels=24, cmap="Greys_r", alpha=0.45)
        left.contour(*grid, height, levels=24, colors="white", linewidths=0.5, linestyles="solid")
        for name, route in routes.items():
            colour, line = styles[name]
            route = np.asarray(route)
            left.plot(*route.T, color=colour, linestyle=line, linewidth=1.7)
            left.plot(*route[-1], "o", color=colour, markersize=6, markeredgecolor="white", zorder=5)
        first = np.asarray(next(iter(routes.values())))[0]
        left.plot(*first, "o", color=INK, markersize=7, zorder=6)
        left.annotate("start", first, (6, 6), textcoords="offset points", fontsize=9, color=INK)
        if minimum is not None:
            left.plot(*minimum, "*", color=INK, markersize=13, markeredgecolor="white", zorder=6)
        dress(left, "first weight", "second weight")
        left.grid(False)
        left.set(xlim=box[:2], ylim=box[2:])
        for name, (steps, values) in curves.items():
            colour, line = styles[name]
            right.plot(steps, values, color=colour, linestyle=line, linewidth=1.7, label=name)
        dress(right, x, y)
        _logarithmic(right)
        right.legend(frameon=False, fontsize=9, labelcolor=INK, ncols=2)
    return path


def families(curves, panels, path, title="", x="epoch"):
    """Draws one panel for each quantity, with a curve in it for each name.

    Args:
        curves: name to quantity to its values.
        panels: the quantities to draw; a loss is drawn on a logarithmic axis.
        path: the PNG to write.
        title: what stands above.
        x: what the values are counted by.
    """
    if missing := [q for q in panels if any(q not in values for values in curves.values())]:
        raise ValueError(f"every name must have a curve for each panel. Received: none for {missing}")
    with drawn(path, (4.1 * len(panels), 3.6), title) as figure:
        every = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, quantity in zip(every, panels):
            for (name, values), colour in zip(curves.items(), COLOURS):
                steps = range(1, len(values[quantity]) + 1)
                axes.plot(steps, values[quantity], color=colour, linewidth=1.8, label=name)
            dress(axes, x, quantity)
            if quantity.endswith("loss"):
                _logarithmic(axes)
        every[-1].legend(frameon=False, fontsize=9, labelcolor=INK)
    return path


def _logarithmic(axes):
    """A logarithmic axis with plain numbers: 0.1, 0.2, 0.5, or powers of ten alone where there are many."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    subs = (1, 2, 5) if high < 100 * low else (1,)
    axes.yaxis.set_major_locator(require("matplotlib.ticker", "recipes").LogLocator(subs=subs))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()


def gradient_flow(measured, path, title="", limits=(1e-3, 1e3)):
    """Draws how the spread of activations and gradients changes through deep networks.

    Args:
        measured: `(activation, initialiser)` to depth to `(forward, backward)`: the standard deviation of the
            activations after each layer, and of the gradient to them.
        path: the PNG to write.
        title: what stands above.
        limits: below and above which ratio of the first layer's gradient to the last's a panel is shaded.
    """
    rows = list(dict.fromkeys(name for name, _ in measured))
    columns = list(dict.fromkeys(name for _, name in measured))
    depths = list(next(iter(measured.values())))
    size = (2.15 * len(columns) + 0.9, 1.65 * len(rows) + 1.1)
    with drawn(path, size, title) as figure:
        grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey=True)
        for (row, column), by_depth in measured.items():
            axes = grid[rows.index(row)][columns.index(column)]
            for depth, colour in zip(depths, COLOURS):
                place = np.linspace(0, 1, depth)
                for values, line in zip(by_depth[depth], ("-", (0, (1.2, 1.2)))):
                    drawn_values = np.clip(values, 1e-16, 1e16)
                    axes.plot(place, drawn_values, color=colour, linestyle=line, linewidth=1.5)
            deepest = by_depth[depths[-1]][1]
            ratio = _ratio(deepest)
            if not limits[0] <= ratio <= limits[1]:
                axes.set_facecolor("#fdeceb" if ratio > limits[1] else "#eaf1fa")
            dress(axes, "", "")
            axes.tick_params(labelsize=8)
            height = 0.87 if ratio <= 1 else 0.06  # where no line runs
            said = axes.text(0.5, height, _power(ratio), transform=axes.transAxes, fontsize=8, color=INK)
            said.set(ha="center", in_layout=False)
        first = grid[0][0]  # its axes are those of all
        first.set(yscale="log", ylim=(1e-9, 1e9), yticks=[1e-6, 1, 1e6])
        first.set_xticks([0, 1], ["first", "last"])
        for axes, name in zip(grid[0], columns):
            axes.set_title(name, fontsize=9.5, color=INK)
        for axes, name in zip(grid[:, 0], rows):
            axes.set_ylabel(name, fontsize=9.5, color=INK)
        lines = [
            first.plot([], [], color=colour, label=f"{depth} layers")[0]
            for depth, colour in zip(depths, COLOURS)
        ]
        lines += [
            first.plot([], [], color=MUTED, linestyle=style, label=label)[0]
            for style, label in (
                ("-", "standard deviation of activations"),
                ((0, (1.2, 1.2)), "of gradients"),
            )
        ]
        figure.legend(
            handles=lines, loc="outside lower center", ncols=len(lines), frameon=False, fontsize=9, labelcolor=INK
        )  # fmt: skip
    return path


def _ratio(backward):
    """The first layer's gradient over the last's."""
    if backward[-1]:
        return backward[0] / backward[-1]
    return np.inf if backward[0] else 0.0


def _power(ratio):
    if ratio == 0 or not np.isfinite(ratio):
        return "first / last: " + ("0" if ratio == 0 else "∞")
    return f"first / last: $10^{{{np.log10(ratio):+.1f}}}$"


def heat_map(matrix, rows, columns, path, title="", x="", y="", cells=None, bar=""):
    """Draws a matrix as shades, with a text in each cell where one is given.

    Args:
        matrix: `(rows, columns)`.
        rows, columns: their names.
        path: the PNG to write.
        title: what stands above.
        x, y: what columns and rows are called.
        cells: texts, `(rows, columns)`.
        bar: what the shades are called; without it there is no bar.
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (len(rows), len(columns)):
        raise ValueError(
            f"the matrix must have a row and a column for each name. Received: {matrix.shape} for "
            f"{len(rows)} and {len(columns)} names"
        )
    side = 0.34 if cells is not None else 0.26
    longest = max((len(str(name)) for name in columns), default=0) * 0.08  # inches, about
    width = max(4.0, side * len(columns) + (1.9 if bar else 1.0))
    aslant = longest * len(columns) > width - 1.0  # side by side the names would run into each other
    size = (width, max(3.0, side * len(rows) + 1.0) + aslant * 0.75 * longest)
    with drawn(path, size, title) as figure:
        axes = figure.subplots()
        shown = axes.imshow(matrix, cmap="Blues", aspect="equal")
        slant = dict(rotation=45, ha="left", rotation_mode="anchor") if aslant else {}
        axes.set_xticks(range(len(columns)), columns, fontsize=9, **slant)
        axes.set_yticks(range(len(rows)), rows, fontsize=9)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel(x, color=MUTED)
        axes.set_ylabel(y, color=MUTED)
        axes.tick_params(length=0, labelcolor=INK)
        axes.spines[:].set_visible(False)
        if cells is not None:
            middle = 0.55 * matrix.max() + 0.45 * matrix.min()
            for i, row in enumerate(cells):
                for j, text in enumerate(row):
                    colour = "white" if matrix[i, j] > middle else INK
                    said = axes.text(j, i, text, ha="center", va="center", fontsize=5.5, color=colour)
                    said.set_in_layout(False)  # hundreds of them, and each inside its cell
        if bar:
            scale = figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.02)
            scale.set_label(bar, color=MUTED, fontsize=9)
            scale.outline.set_visible(False)
            scale.ax.tick_params(labelsize=8, color="#bdbdbd", labelcolor=INK)
    return path


def computation(nodes, edges, path, title=""):
    """Draws a graph of computation in layers, from what was given on the left to the result on the right.

    Args:
        nodes: dicts of `label`, `shape` and `kind` (`"given"` or `"operation"`), parents first, as
            `kzoo.scratch.autograd.graph` gives them.
        edges: pairs of indices.
        path: the PNG to write.
        title: what stands above.
    """
    levels = _levels(len(nodes), edges)
    places = _places(levels, edges)
    low, high = min(y for _, y in places), max(y for _, y in places)
    module = require("matplotlib.patches", "recipes")
    with drawn(path, (1.3 * (max(levels) + 1) + 0.3, 0.85 * (high - low + 1) + 0.7), title) as figure:
        axes = figure.subplots()
        axes.set_axis_off()
        for a, b in edges:
            start, end = (places[a][0] + 0.4, places[a][1]), (places[b][0] - 0.4, places[b][1])
            arrow = dict(
                arrowstyle="-|>", color="#9a9a9a", shrinkA=0, shrinkB=0, linewidth=1.1, mutation_scale=9
            )
            axes.annotate("", end, start, arrowprops=arrow)
        for node, (x, y) in zip(nodes, places):
            given = node["kind"] == "given"
            box = module.FancyBboxPatch((x - 0.37, y - 0.25), 0.74, 0.5, boxstyle="round,pad=0.03")
            box.set(facecolor=COLOURS[0] if given else "white", edgecolor=COLOURS[0] if given else "#9a9a9a")
            axes.add_patch(box)
            shape = " × ".join(map(str, node["shape"])) or "number"
            style = dict(ha="center", va="center", color="white" if given else INK)
            weight = "bold" if given else "normal"
            axes.text(x, y + 0.09, shortened(node["label"], 14), fontsize=8, weight=weight, **style)
            axes.text(x, y - 0.14, shape, fontsize=7, **style)
        axes.set(xlim=(-0.5, max(levels) + 0.5), ylim=(low - 0.4, high + 0.4))
    return path


def _levels(count, edges):
    """Each node's column: one after its last parent; what was given stands just before its first use."""
    levels, children = [0] * count, [[] for _ in range(count)]
    for a, b in sorted(edges, key=lambda edge: edge[1]):  # a node's parents come before it
        levels[b] = max(levels[b], levels[a] + 1)
        children[a].append(b)
    has_parents = {b for _, b in edges}
    return [
        min((levels[c] for c in children[i]), default=1) - 1 if i not in has_parents else levels[i]
        for i in range(count)
    ]


def _places(levels, edges, sweeps=8):
    """Where each node stands: columns in the order that the mean of the neighbours' heights gives, swept to and fro.

    Sugiyama et al. (1981), Methods for visual understanding of hierarchical system structures.
    """
    near = [[] for _ in levels]
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    columns = [[i for i, level in enumerate(levels) if level == c] for c in range(max(levels) + 1)]
    height = [0.0] * len(levels)
    for column in columns:
        for k, i in enumerate(column):
            height[i] = k - (len(column) - 1) / 2
    for sweep in range(sweeps):
        for column in columns if sweep % 2 else columns[::-1]:
            wanted = {i: float(np.mean([height[j] for j in near[i]] or [height[i]])) for i in column}
            order = sorted(column, key=wanted.get)
            # As near to where they want to be as one apart allows.
            put = [wanted[order[0]]]
            for i in order[1:]:
                put.append(max(wanted[i], put[-1] + 1))
            shift = float(np.mean([wanted[i] for i in order])) - float(np.mean(put))
            for i, y in zip(order, put):
                height[i] = y + shift
    return [(float(level), -y) for level, y in zip(levels, height)]
