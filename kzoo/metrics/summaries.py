"""Summaries against references: ROUGE, as rouge-score computes it."""

import keras

from kzoo.engine import require
from kzoo.metrics.text import TextMetric, alternatives


@keras.saving.register_keras_serializable("kzoo")
class ROUGE(TextMetric):
    """`{"rouge1": …, "rouge2": …, "rougeL": …}`: mean F-scores, 0 to 1.

    Of shared words, pairs of words and the longest common subsequence. Of several references the best counts. Lin
    (2004), "ROUGE: A Package for Automatic Evaluation of Summaries". Needs the extra `text`.

    Args:
        types: which: also `"rougeLsum"`, which takes lines as sentences.
        stemmer: whether endings of English words do not count.
    """

    several_references = True

    def __init__(self, types=("rouge1", "rouge2", "rougeL"), stemmer=False):
        super().__init__()
        self.types = tuple(types)
        self.stemmer = stemmer

    def compute(self):
        scorer = require("rouge_score.rouge_scorer", "text").RougeScorer(
            list(self.types), use_stemmer=self.stemmer
        )
        totals = dict.fromkeys(self.types, 0.0)
        for reference, hypothesis in zip(self.references, self.hypotheses):
            scores = scorer.score_multi(alternatives(reference), hypothesis)
            for name in self.types:
                totals[name] += scores[name].fmeasure
        return {name: total / len(self.hypotheses) for name, total in totals.items()}

    def get_config(self):
        return {"types": list(self.types), "stemmer": self.stemmer}
