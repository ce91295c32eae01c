"""The losses once more, in NumPy and loops, from the papers' formulas: case of the parity gate to a function.

Each takes `(y_true, y_pred)` in float64 and returns per-sample values.
"""

import numpy as np


def softplus(x):
    return np.logaddexp(0.0, x)


def log_softmax(x):
    return x - np.logaddexp.reduce(x, axis=-1, keepdims=True)


def contrastive(same, pairs, margin=2.0):
    d = np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=-1)
    return 0.5 * np.where(same == 1, d**2, np.maximum(0.0, margin - d) ** 2)


def semi_hard(labels, x, margin=2.0):
    values, pairs = np.zeros(len(x)), 0
    for a in range(len(x)):
        negatives = [np.sum((x[a] - x[n]) ** 2) for n in range(len(x)) if labels[n] != labels[a]]
        for p in range(len(x)):
            if p == a or labels[p] != labels[a] or not negatives:
                continue
            positive = np.sum((x[a] - x[p]) ** 2)
            farther = [n for n in negatives if n > positive]
            values[a] += max(0.0, positive - (min(farther) if farther else max(negatives)) + margin)
            pairs += 1
    return values * len(x) / max(pairs, 1)


def hard(labels, x, margin=0.2):
    values, anchors = np.zeros(len(x)), 0
    for a in range(len(x)):
        d = [np.linalg.norm(x[a] - other) for other in x]
        positives = [d[p] for p in range(len(x)) if p != a and labels[p] == labels[a]]
        negatives = [d[n] for n in range(len(x)) if labels[n] != labels[a]]
        if positives and negatives:
            gap = max(positives) - min(negatives)
            values[a] = softplus(gap) if margin is None else max(0.0, gap + margin)
            anchors += 1
    return values * len(x) / max(anchors, 1)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def nt_xent(_, views, temperature=0.1):
    z = np.concatenate([unit(views[:, 0]), unit(views[:, 1])])
    n = len(z)
    values = np.zeros(n)
    for i in range(n):
        j = (i + n // 2) % n
        others = [z[i] @ z[k] / temperature for k in range(n) if k != i]
        values[i] = -z[i] @ z[j] / temperature + np.logaddexp.reduce(others)
    return 0.5 * (values[: n // 2] + values[n // 2 :])


def info_nce(keys, queries, temperature=0.07, in_batch=True, symmetric=False):
    keys, queries = unit(keys), unit(queries)
    values = np.zeros(len(queries))
    for i, q in enumerate(queries):
        candidates = range(len(keys)) if in_batch else [i, *range(len(queries), len(keys))]
        values[i] = -q @ keys[i] / temperature
        values[i] += np.logaddexp.reduce([q @ keys[j] / temperature for j in candidates])
        if symmetric:
            back = np.logaddexp.reduce([other @ keys[i] / temperature for other in queries])
            values[i] = 0.5 * (values[i] + back - q @ keys[i] / temperature)
    return values


def supervised_contrastive(labels, x, temperature=0.1):
    z, values = unit(x), np.zeros(len(x))
    for i in range(len(z)):
        others = np.logaddexp.reduce([z[i] @ z[a] / temperature for a in range(len(z)) if a != i])
        positives = [p for p in range(len(z)) if p != i and labels[p] == labels[i]]
        values[i] = -sum(z[i] @ z[p] / temperature - others for p in positives) / max(len(positives), 1)
    return values


def capsule_margin(one_hot, lengths):
    values = np.zeros(len(lengths))
    for i in range(len(lengths)):
        for t, v in zip(one_hot[i], lengths[i]):
            values[i] += t * max(0.0, 0.9 - v) ** 2 + 0.5 * (1 - t) * max(0.0, v - 0.1) ** 2
    return values


def distillation(teacher, student, temperature=3.0):
    p, q = log_softmax(teacher / temperature), log_softmax(student / temperature)
    return temperature**2 * np.sum(np.exp(p) * (p - q), axis=-1)


def mmd(x, y, width=None, fixed=None):
    both = np.concatenate([x, y])
    if width is None:
        source = both if fixed is None else np.concatenate([x, fixed])  # a constant to the gradient
        width = np.mean([np.sum((a - b) ** 2) for a in source for b in source])

    def kernel(a, b):
        return np.mean([np.exp(-np.sum((a - b) ** 2) / (s * width)) for s in (0.25, 0.5, 1.0, 2.0, 4.0)])

    within = np.mean([kernel(a, b) for a in x for b in x])
    return (
        np.array([np.mean([kernel(b, c) for c in y]) - 2 * np.mean([kernel(b, a) for a in x]) for b in y])
        + within
    )


def coral(x, y):
    difference = np.cov(x, rowvar=False) - np.cov(y, rowvar=False)
    return np.full(len(y), np.sum(difference**2) / (4 * x.shape[1] ** 2))


def kl_normal(mean, log_variance):
    return 0.5 * np.sum(np.exp(log_variance) + mean**2 - 1 - log_variance, axis=-1)


def kl_categorical(prior, logits):
    p, q = log_softmax(logits), log_softmax(prior)
    return np.sum(np.exp(p) * (p - q), axis=-1)


def box_overlap(kind):
    def area(box):
        return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])

    def one(a, b, fixed):
        shared = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
        union = area(a) + area(b) - shared
        iou = shared / union if union > 0 else 0.0
        around = [min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])]
        if kind == "IoU":
            return 1 - iou
        if kind == "GIoU":
            return 1 - iou + (area(around) - union) / area(around)
        centres = ((a[0] + a[2] - b[0] - b[2]) ** 2 + (a[1] + a[3] - b[1] - b[3]) ** 2) / 4
        value = 1 - iou + centres / ((around[2] - around[0]) ** 2 + (around[3] - around[1]) ** 2)
        if kind == "DIoU":
            return value
        v = 4 / np.pi**2 * (np.arctan2(a[2] - a[0], a[3] - a[1]) - np.arctan2(b[2] - b[0], b[3] - b[1])) ** 2
        alpha = v / (1 - iou + v) if fixed is None else fixed
        return value + alpha * v

    return lambda true, pred: np.array([one(a, b, None) for a, b in zip(true, pred)])


def smoothed_crossentropy(labels, logits, smoothing=0.1):
    classes = logits.shape[-1]
    targets = np.full(logits.shape, smoothing / classes)
    for row, label in zip(targets, labels):
        row[int(label)] += 1.0 - smoothing
    return -np.sum(targets * log_softmax(logits), axis=-1)


def negative_sampling(labels, logits):
    values = softplus(np.where(labels == 1, -logits, logits))
    return np.sum(np.where(labels < 0, 0.0, values), axis=-1)


LOSSES = {
    "Contrastive": contrastive,
    "TripletSemiHard": semi_hard,
    "TripletHard": hard,
    "TripletHard, soft margin": lambda y, x: hard(y, x, None),
    "TripletHard, one class": hard,
    "NTXent": nt_xent,
    "NTXent, blocks": nt_xent,
    "InfoNCE": info_nce,
    "InfoNCE, queue": lambda y, x: info_nce(y, x, in_batch=False),
    "InfoNCE, symmetric": lambda y, x: info_nce(y, x, symmetric=True),
    "NegativeSampling": negative_sampling,
    "SmoothedCrossentropy": smoothed_crossentropy,
    "SupervisedContrastive": supervised_contrastive,
    "CapsuleMargin": capsule_margin,
    "Distillation": distillation,
    "MMD": mmd,
    "MMD, width": lambda y, x: mmd(y, x, 3.0),
    "CORAL": coral,
    "kl_normal": kl_normal,
    "kl_categorical": kl_categorical,
    **{name: box_overlap(name) for name in ("IoU", "GIoU", "DIoU", "CIoU")},
    "MinimaxGAN": lambda y, x: (
        -np.where(y == 1, np.log(1 / (1 + np.exp(-x))), np.log(1 - 1 / (1 + np.exp(-x))))
    ),
    "MinimaxGAN, generator": lambda y, x: np.log(1 - 1 / (1 + np.exp(-x))),
    "NonSaturatingGAN, generator": lambda y, x: -np.log(1 / (1 + np.exp(-x))),
    "WassersteinGAN": lambda y, x: np.where(y == 1, -x, x),
    "WassersteinGAN, generator": lambda y, x: -x,
    "HingeGAN": lambda y, x: np.where(y == 1, np.maximum(0, 1 - x), np.maximum(0, 1 + x)),
    "HingeGAN, generator": lambda y, x: -x,
    "LeastSquaresGAN": lambda y, x: 0.5 * np.where(y == 1, (x - 1) ** 2, x**2),
    "LeastSquaresGAN, generator": lambda y, x: 0.5 * (x - 1) ** 2,
}
LOSSES["NonSaturatingGAN"] = LOSSES["MinimaxGAN"]


def constants(case, y_true, y_pred):
    """The loss with what its paper treats as a constant in the gradient held at its value for these arguments."""
    if case == "MMD":
        return lambda y, x: mmd(y, x, fixed=y_pred)
    if case == "CIoU":
        true, diou, ciou = y_true, box_overlap("DIoU"), box_overlap("CIoU")

        def v(x):
            slopes = [np.arctan2(b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]) for b in (true, x)]
            return 4 / np.pi**2 * (slopes[0] - slopes[1]) ** 2

        shape = v(y_pred)
        alpha = (ciou(true, y_pred) - diou(true, y_pred)) / np.where(shape > 0, shape, 1.0)
        return lambda y, x: diou(y, x) + alpha * v(x)
    return LOSSES[case]


def gradient(function, y_true, y_pred, step=1e-6):
    """Central differences of the mean of the values."""
    result = np.zeros_like(y_pred)
    for place in np.ndindex(*y_pred.shape):
        up, down = y_pred.copy(), y_pred.copy()
        up[place] += step
        down[place] -= step
        result[place] = (np.mean(function(y_true, up)) - np.mean(function(y_true, down))) / (2 * step)
    return result
