"""Answering questions on a paragraph by the piece of it that says so, with a pretrained encoder.

Task       find where in a paragraph the answer to a question begins and ends
Data       XQuAD in English: 1,190 questions on 240 paragraphs of 48 articles, cross-validated, all questions of an
           article being tested on once by a network that saw none of them; or a file in SQuAD's format
Paper      Devlin et al. (2018), BERT, arXiv:1810.04805, section 4.2; Artetxe et al. (2020), arXiv:1910.11856. A
           BERT that learnt from SQuAD's 87,599 questions has an F1 of 83.5 on these; here about 950 are learnt from
Command    kzoo run question_answering --backend torch
Score      XQuAD in English, 5 folds of articles, torch: token f1 0.4568, exact match 0.3143 in 85.8 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import functools
from pathlib import Path

import keras
import numpy as np
from keras import ops

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import SequenceBatches, load_text
from kzoo.data.encodings import best_answer, span_of, windows
from kzoo.data.questions import load_questions
from kzoo.metrics import ExactMatch, TokenF1
from kzoo.models.text.bert_heads import span_extractor
from kzoo.optimizers.fine_tuning import fine_tuning_adamw
from kzoo.runs import Run
from kzoo.weights.encoders import text_encoder


def create(questions, settings):
    """A network from windows to logits of beginnings and ends, `(b, 2, n)`, and its vocabulary."""
    texts = [text for question in questions for text in (question.question, question.context)]
    encoder, tokens = text_encoder(settings["encoder"], texts, pairs=True, dropout=settings["dropout"])
    spans = span_extractor(encoder)
    both = ops.stack([spans.output["start"], spans.output["end"]], axis=1)
    return keras.Model(spans.input, both, name="question_answering"), tokens


def cut(questions, tokens, settings):
    """The questions' paragraphs in windows, and where in each the answer is, `(0, 0)` where it is not."""
    asked, contexts = zip(*((question.question, question.context) for question in questions))
    found = windows(tokens, asked, contexts, settings["length"], settings["stride"])
    return found, [span_of(one, *questions[one.question].answers[0]) for one in found]


def batches(found, settings, spans=None, **options):
    """Windows, and where their answers are, in batches; with `spans` only those that have one."""
    y = spans
    if spans is not None:
        kept = np.any(spans, axis=1)
        found, y = [one for one, here in zip(found, kept) if here], np.array(spans)[kept]
    x = {"tokens": [one.ids for one in found], "segments": [one.segments for one in found]}
    return SequenceBatches(x, y, settings["batch_size"], **options)


def answer(network, questions, windows, data):
    """For each question a pair: what the network answers, and how surely."""
    found = {i: ([], [], []) for i in range(len(questions))}
    rows = (row for i in range(len(data)) for row in network.predict_on_batch(data.draw(0, i)[0]))
    for window, (start, end) in zip(windows, rows):
        for kept, one in zip(found[window.question], (window, start, end)):
            kept.append(one)
    return [best_answer(question.context, *found[i]) for i, question in enumerate(questions)]


def train(fold, parts, settings, run):
    """Trains on one fold's questions and answers those held out; gives the answers and the history."""
    (learnt, held), seed = parts, settings["seed"] + fold
    kzoo.set_seed(seed)
    network, tokens = create(learnt, settings)
    if settings["accelerate"]:
        kzoo.accelerate(network)
    found, spans = cut(learnt, tokens, settings)
    data = batches(found, settings, spans, seed=seed)
    found, spans = cut(held, tokens, settings)
    test = batches(found, settings, spans, shuffle=False)
    network.compile(
        fine_tuning_adamw(network, settings["learning_rate"], settings["epochs"] * len(data)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    resume = Resume(run.path(f"resume-{fold}"), data=data, configuration=settings)
    watched = dict(callbacks=[resume, run.log], verbose=recipes.verbosity())
    network.fit(data, epochs=settings["epochs"], validation_data=test, **watched)
    network.save_weights(run.path("trained.weights.h5"))
    said = answer(network, held, found, batches(found, settings, shuffle=False))
    return {"answers": said, "history": resume.history}


def shown(questions, answers):
    """Each question with its paragraph's answer and the network's, the surest first, as text."""
    lines = []
    for question, (said, sure) in sorted(zip(questions, answers), key=lambda pair: -pair[1][1]):
        truly = " | ".join(text for _, text in question.answers)
        lines.append(f"{sure:.0%} {question.question}\n  answered: {said}\n  truly:    {truly}\n")
    return "\n".join(lines)


def main(
    data: str = "xquad",
    encoder: str = "all-MiniLM-L6-v2",
    folds: int = 5,
    epochs: int = 4,
    batch_size: int = 16,
    learning_rate: float = 1e-4,
    dropout: float = 0.1,
    length: int = 256,
    stride: int = 96,
    accelerate: bool = True,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Cross-validates a network over articles, and leaves the last fold's, all answers and the curves.

    Paragraphs longer than `length` pieces are read in windows that share `stride`. `encoder` is as in `fine_tuning`;
    `samples` cuts the questions of each side of a fold.
    """
    settings = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, stride=stride, samples=samples)
    asked = load_questions(data) if Path(data).is_file() else load_text(data)
    parted = [[side[:samples] for side in fold] for fold in asked.folds(folds, seed)]
    engine = keras.config.backend()
    run = Run("question_answering", f"{asked.name}-{Path(encoder).name}-{engine}", settings)
    rows = []
    for i, parts in enumerate(parted):
        rows.append(run.once(f"fold {i}", functools.partial(train, i, parts, settings, run)))
    questions = [question for _, held in parted for question in held]
    answers = [pair for row in rows for pair in row["answers"]]
    figures = {}
    for metric in (ExactMatch(), TokenF1()):
        metric.update([[text for _, text in q.answers] for q in questions], [text for text, _ in answers])
        figures |= {name: float(value) for name, value in metric.result().items()}
    figures |= {"questions": len(questions), "seconds": round(run.seconds, 1)}
    run.path("answers.txt").write_text(shown(questions, answers))
    losses = {name: [row["history"][name] for row in rows] for name in ("loss", "val_loss")}
    plots.bands(losses, run.path("losses.png"), f"{asked.name}, {folds} folds ({engine})", y="loss")
    network, tokens = create(parted[-1][0], settings)
    network.load_weights(run.path("trained.weights.h5"))
    tokens.save(run.path("tokenizer.json"))
    run.save(network, figures=figures, history=rows[-1]["history"], model=encoder, data=data)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
