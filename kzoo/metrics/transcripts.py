"""Transcripts against references: error rates of words and characters, as jiwer computes them."""

import keras

from kzoo.engine import require
from kzoo.metrics.text import TextMetric


class ErrorRate(TextMetric):
    """Substitutions, deletions and insertions over the length of all references, from 0 up. Case and signs count."""

    def check(self, reference, hypothesis):
        super().check(reference, hypothesis)
        if not reference.strip():
            raise ValueError(f"an error rate needs references that are not empty. Received: {reference!r}")


@keras.saving.register_keras_serializable("kzoo")
class WER(ErrorRate):
    """`{"wer": …}`: the word error rate. Needs the extra `text`."""

    def compute(self):
        return {"wer": require("jiwer", "text").wer(self.references, self.hypotheses)}


@keras.saving.register_keras_serializable("kzoo")
class CER(ErrorRate):
    """`{"cer": …}`: the character error rate. Needs the extra `text`."""

    def compute(self):
        return {"cer": require("jiwer", "text").cer(self.references, self.hypotheses)}
