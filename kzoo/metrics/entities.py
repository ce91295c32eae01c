"""Named entities against references: precision, recall and F1 of whole entities, as seqeval computes them."""

import keras

from kzoo.engine import require
from kzoo.metrics.text import TextMetric


@keras.saving.register_keras_serializable("kzoo")
class EntityF1(TextMetric):
    """`{"entity_precision": …, "entity_recall": …, "entity_f1": …}`, 0 to 1, over all entities (micro average).

    References and hypotheses are lists of tags, such as `["B-PER", "I-PER", "O"]`, equally long. An entity counts if
    its type and both its ends are right, as in CoNLL-2003 (Tjong Kim Sang and De Meulder 2003). Without any entity the
    figures are 0. Needs the extra `entities`.

    Args:
        scheme: seqeval's name of a strict scheme, `"IOB2"` or `"IOBES"`; `None` for conlleval's lenient reading.
    """

    def __init__(self, scheme=None):
        super().__init__()
        self.scheme = scheme

    def check(self, reference, hypothesis):
        for tags in (reference, hypothesis):
            if not isinstance(tags, (list, tuple)) or not all(isinstance(tag, str) for tag in tags):
                raise TypeError(f"an example is a list of tags. Received: {tags!r}")
        if len(reference) != len(hypothesis):
            raise ValueError(
                f"each tag needs its reference. Received: {len(reference)} and {len(hypothesis)} tags"
            )

    def compute(self):
        metrics = require("seqeval.metrics", "entities")
        options = {"zero_division": 0}
        if self.scheme is not None:
            scheme = getattr(require("seqeval.scheme", "entities"), self.scheme)
            options |= {"mode": "strict", "scheme": scheme}
        functions = {
            "entity_precision": metrics.precision_score,
            "entity_recall": metrics.recall_score,
            "entity_f1": metrics.f1_score,
        }
        return {
            name: function(self.references, self.hypotheses, **options)
            for name, function in functions.items()
        }

    def get_config(self):
        return {"scheme": self.scheme}
