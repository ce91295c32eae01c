"""Pictures of texts: what each was taken for, and how surely."""

import textwrap

import numpy as np

from kzoo.plots.drawing import INK, MUTED, RIGHT, WRONG, drawn, shortened


def texts(examples, labels_true, scores, names, path, title="", count=4, width=108):
    """Draws some texts with what was predicted for each: the surest, the least sure, and the surest of the wrong ones.

    Args:
        examples: `(n,)` strings; long ones are cut to two lines.
        labels_true: class indices, `(n,)`.
        scores: logits or probabilities, `(n, classes)`; rows that do not sum to 1 are taken for logits.
        names: the names of the classes.
        path: the PNG to write.
        title: what stands above.
        count: how many of each kind.
        width: letters in a line.

    Returns:
        The texts drawn with their true class, the predicted one and its probability: a list of tuples.
    """
    from kzoo.predict import softmax

    scores, labels_true = np.asarray(scores, "float64"), np.asarray(labels_true)
    if not len(examples) == len(labels_true) == len(scores) or not len(examples):
        received = f"{len(examples)} texts, {len(labels_true)} labels, {len(scores)} scores"
        raise ValueError(f"there must be one label and one row of scores per text. Received: {received}")
    if scores.min() < 0 or not np.allclose(scores.sum(-1), 1, atol=1e-3):
        scores = softmax(scores)
    predicted = scores.argmax(-1)
    order = np.argsort(-scores.max(-1), kind="stable")
    right, wrong = (order[(predicted == labels_true)[order] == kind] for kind in (True, False))
    groups = {"surest": right[:count], "least sure": order[-count:], "surest of the wrong": wrong[:count]}
    rows = sum(len(group) for group in groups.values()) + len(groups)
    kept, height = [], 1.0
    with drawn(path, (9.4, 0.4 * rows + 0.4), title) as figure:
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        for kind, group in groups.items():
            if len(group):
                height -= 1 / rows
                axes.text(0, height, kind, color=MUTED, fontsize=9, weight="bold", va="center")
            for i in group:
                height -= 1 / rows
                true, guess, sure = names[labels_true[i]], names[predicted[i]], scores[i].max()
                said = f"{shortened(guess, 14)} {sure:.0%}"
                said += "" if guess == true else f", is {shortened(true, 14)}"
                colour = RIGHT if guess == true else WRONG
                shown = textwrap.wrap(examples[i].replace("$", r"\$"), width, max_lines=2, placeholder=" …")
                axes.text(0, height, "\n".join(shown), color=INK, fontsize=8, va="center")
                axes.text(1, height, said, color=colour, fontsize=8, va="center", ha="right")
                kept.append((str(examples[i]), true, guess, round(float(sure), 4)))
    return kept
