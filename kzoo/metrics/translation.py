"""Translations against references: BLEU and chrF, as sacrebleu computes them."""

import keras

from kzoo.engine import require
from kzoo.metrics.text import TextMetric, alternatives


class SacreBLEUMetric(TextMetric):
    """A corpus score of sacrebleu. References may be lists of texts, of any lengths."""

    several_references = True

    def scorer(self):
        raise NotImplementedError

    def compute(self):
        return {type(self).__name__.lower(): self._scored()[1].score}

    def signature(self):
        """What another needs to know to compare figures: sacrebleu's line of its version and settings."""
        return str(self._scored()[0].get_signature())

    def _scored(self):
        references = [alternatives(reference) for reference in self.references]
        most = max(len(texts) for texts in references)
        # sacrebleu wants the first references of all, then the second ones; None where there is none.
        columns = [[texts[i] if i < len(texts) else None for texts in references] for i in range(most)]
        scorer = self.scorer()
        return scorer, scorer.corpus_score(self.hypotheses, columns)


@keras.saving.register_keras_serializable("kzoo")
class BLEU(SacreBLEUMetric):
    """`{"bleu": …}`, 0 to 100, of the whole corpus.

    Papineni et al. (2002), ACL; comparable figures by Post (2018), arXiv:1804.08771. Needs the extra `text`.

    Args:
        tokenize: sacrebleu's name of a tokenizer: `"13a"` for most languages, `"zh"`, `"ja-mecab"`, `"char"` …
        lowercase: whether case does not count.
        max_ngram_order: longest run of tokens compared.
    """

    def __init__(self, tokenize="13a", lowercase=False, max_ngram_order=4):
        super().__init__()
        self.tokenize = tokenize
        self.lowercase = lowercase
        self.max_ngram_order = max_ngram_order

    def scorer(self):
        return require("sacrebleu", "text").metrics.BLEU(**self.get_config())

    def get_config(self):
        return {name: getattr(self, name) for name in ("tokenize", "lowercase", "max_ngram_order")}


@keras.saving.register_keras_serializable("kzoo")
class CHRF(SacreBLEUMetric):
    """`{"chrf": …}`, 0 to 100: F-score of runs of characters (and words, with `word_order=2`: chrF++).

    Popović (2015), WMT. Needs the extra `text`.

    Args:
        char_order: longest run of characters.
        word_order: longest run of words; 0 for none.
        beta: how much more recall weighs than precision.
    """

    def __init__(self, char_order=6, word_order=0, beta=2):
        super().__init__()
        self.char_order = char_order
        self.word_order = word_order
        self.beta = beta

    def scorer(self):
        return require("sacrebleu", "text").metrics.CHRF(**self.get_config())

    def get_config(self):
        return {name: getattr(self, name) for name in ("char_order", "word_order", "beta")}
