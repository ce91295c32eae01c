"""Answers to questions against references, as SQuAD compares them (Rajpurkar et al. 2016, arXiv:1606.05250)."""

import collections
import re
import string

import keras

from kzoo.metrics.text import TextMetric, alternatives

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_SIGNS = str.maketrans("", "", string.punctuation)


def normalised(answer):
    """Lower case, without ASCII punctuation and English articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_SIGNS)).split())


class AnswerMetric(TextMetric):
    """The mean over questions of the best agreement with one of the references. Both may be empty: no answer."""

    several_references = True

    def agreement(self, reference, hypothesis):
        """Of two normalised answers, from 0 to 1."""
        raise NotImplementedError

    def mean(self):
        total = 0.0
        for reference, hypothesis in zip(self.references, self.hypotheses):
            given = normalised(hypothesis)
            total += max(self.agreement(normalised(text), given) for text in alternatives(reference))
        return total / len(self.hypotheses)


@keras.saving.register_keras_serializable("kzoo")
class ExactMatch(AnswerMetric):
    """`{"exact_match": …}`: the share of answers equal to a reference after normalisation, 0 to 1."""

    def agreement(self, reference, hypothesis):
        return float(reference == hypothesis)

    def compute(self):
        return {"exact_match": self.mean()}


@keras.saving.register_keras_serializable("kzoo")
class TokenF1(AnswerMetric):
    """`{"token_f1": …}`: the mean F-score of shared words after normalisation, 0 to 1."""

    def agreement(self, reference, hypothesis):
        wanted, given = reference.split(), hypothesis.split()
        if not wanted or not given:
            return float(wanted == given)
        shared = sum((collections.Counter(wanted) & collections.Counter(given)).values())
        return 2.0 * shared / (len(wanted) + len(given))

    def compute(self):
        return {"token_f1": self.mean()}
