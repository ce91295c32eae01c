"""Metrics of texts against the libraries they stand on, called the way those libraries' pages show."""

import jiwer
import keras
import numpy as np
import pytest
import sacrebleu
import torchmetrics.text
from cases.metrics import FOUND, HYPOTHESES, REFERENCES, TAGS
from rouge_score import rouge_scorer
from seqeval.metrics import classification_report

from kzoo import metrics

pytestmark = pytest.mark.once


def of(metric, references=REFERENCES, hypotheses=HYPOTHESES):
    """The figures, in two updates."""
    metric.update(references[:1], hypotheses[:1])
    metric.update(references[1:], hypotheses[1:])
    return metric.result()


def test_translations_are_scored_as_sacrebleu_does():
    assert of(metrics.BLEU()) == {"bleu": sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score}
    assert of(metrics.CHRF()) == {"chrf": sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score}
    plus = sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES], word_order=2).score
    assert of(metrics.CHRF(word_order=2)) == {"chrf": plus} != of(metrics.CHRF())


def test_a_score_says_what_it_can_be_compared_with():
    metric = metrics.BLEU(lowercase=True)
    metric.update(REFERENCES, HYPOTHESES)
    theirs = sacrebleu.metrics.BLEU(lowercase=True)
    theirs.corpus_score(HYPOTHESES, [REFERENCES])
    assert metric.signature() == str(theirs.get_signature()) and "tok:13a" in metric.signature()


def test_several_references_of_different_number_count():
    references = [[REFERENCES[0], HYPOTHESES[0]], REFERENCES[1], [REFERENCES[2]]]
    second = [HYPOTHESES[0], REFERENCES[1], REFERENCES[2]]  # a repeated reference changes nothing
    expected = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES, second]).score
    assert of(metrics.BLEU(), references)["bleu"] == pytest.approx(expected)
    assert expected > of(metrics.BLEU())["bleu"]
    assert of(metrics.ROUGE(), references)["rouge1"] > of(metrics.ROUGE())["rouge1"]


def test_summaries_are_scored_as_rouge_score_does():
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"])
    scores = [scorer.score(r, h) for r, h in zip(REFERENCES, HYPOTHESES)]
    expected = {name: np.mean([score[name].fmeasure for score in scores]) for name in scores[0]}
    assert of(metrics.ROUGE()) == pytest.approx(expected)


def test_transcripts_are_scored_as_jiwer_does():
    assert of(metrics.WER()) == {"wer": jiwer.wer(REFERENCES, HYPOTHESES)}
    assert of(metrics.CER()) == {"cer": jiwer.cer(REFERENCES, HYPOTHESES)}
    assert of(metrics.WER(), ["a b"], ["c d e"]) == {"wer": 1.5}


def test_entities_are_scored_as_seqeval_does():
    report = classification_report(TAGS, FOUND, output_dict=True)["micro avg"]
    found = of(metrics.EntityF1(), TAGS, FOUND)
    for name, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
        assert found[f"entity_{name}"] == pytest.approx(report[theirs])
    strict = of(metrics.EntityF1("IOB2"), [["I-PER", "I-PER"]], [["B-PER", "I-PER"]])
    assert strict["entity_f1"] == 0.0 != of(metrics.EntityF1(), [["I-PER"]], [["B-PER"]])["entity_f1"]
    assert of(metrics.EntityF1(), [["O"]], [["O"]])["entity_f1"] == 0.0


def test_answers_are_scored_as_torchmetrics_squad_does():
    references = [["The Cat.", "cats"], ["in the  garden"], ["1984"], ["no"]]
    hypotheses = ["a cat", "garden of Eden, in it", "1985", "No!"]
    theirs = torchmetrics.text.SQuAD()
    theirs.update(
        [{"prediction_text": h, "id": str(i)} for i, h in enumerate(hypotheses)],
        [
            {"answers": {"answer_start": [0] * len(r), "text": r}, "id": str(i)}
            for i, r in enumerate(references)
        ],
    )
    expected = theirs.compute()
    found = of(metrics.ExactMatch(), references, hypotheses) | of(metrics.TokenF1(), references, hypotheses)
    assert found["exact_match"] == pytest.approx(float(expected["exact_match"]) / 100)
    assert found["token_f1"] == pytest.approx(float(expected["f1"]) / 100)
    assert 0 < found["exact_match"] < found["token_f1"] < 1
    assert of(metrics.TokenF1(), ["the", "cat"], ["", ""]) == {"token_f1": 0.5}  # no answer wanted, and one


@pytest.mark.parametrize("name", ["BLEU", "CHRF", "ROUGE", "WER", "CER", "ExactMatch", "TokenF1", "EntityF1"])
def test_nothing_to_compare_and_what_cannot_be_compared_is_refused(name):
    metric = getattr(metrics, name)()
    with pytest.raises(ValueError, match="Received: 0 pairs"):
        metric.result()
    with pytest.raises(ValueError, match="Received: 2 references and 1 hypotheses"):
        metric.update(REFERENCES[:2], HYPOTHESES[:1])
    with pytest.raises(TypeError, match="Received: a single text"):
        metric.update("one text", "another")
    with pytest.raises(TypeError, match="Received: None"):
        metric.update(["fine"], [None]) if name != "EntityF1" else metric.check(["O"], None)
    if name != "EntityF1":
        metric.update(REFERENCES, HYPOTHESES)
        metric.reset()
        with pytest.raises(ValueError, match="Received: 0 pairs"):
            metric.result()


def test_references_that_cannot_be_divided_by_are_refused():
    with pytest.raises(ValueError, match="Received: ' '"):
        metrics.WER().update([" "], ["a"])
    with pytest.raises(TypeError, match="Received: "):
        metrics.BLEU().update([[]], ["a"])
    with pytest.raises(ValueError, match="Received: 2 and 1 tags"):
        metrics.EntityF1().update([["O", "O"]], [["O"]])


def test_metrics_of_texts_survive_saving():
    for metric in (
        metrics.BLEU(lowercase=True),
        metrics.CHRF(word_order=2),
        metrics.ROUGE(("rouge1",)),
        metrics.WER(),
    ):
        saved = keras.saving.serialize_keras_object(metric)
        restored = keras.saving.deserialize_keras_object(saved)
        assert keras.saving.serialize_keras_object(restored) == saved
        assert restored.get_config() == metric.get_config()


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    import sys

    for name, module, extra in (("BLEU", "sacrebleu", "text"), ("EntityF1", "seqeval.metrics", "entities")):
        metric = getattr(metrics, name)()
        metric.update(TAGS if name == "EntityF1" else REFERENCES, FOUND if name == "EntityF1" else HYPOTHESES)
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ImportError, match=rf"kzoo\[{extra}\]"):
            metric.result()
