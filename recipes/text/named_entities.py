"""Finding named entities with a pretrained encoder: a tag for each word.

Task       find persons, places, products … in posts from the web, and where each begins and ends
Data       WNUT-17: 3,394 sentences to train on, 1,009 to validate, 1,287 to test, with entities that are rare or new;
           or a file in the format of CoNLL
Paper      Devlin et al. (2018), BERT, arXiv:1810.04805, section 5.3: a word is told by its first piece. Derczynski et
           al. (2017), W17-4418: the best of the task had an F1 of 41.9 %
Command    kzoo run named_entities --backend torch
Score      WNUT-17, F1 of entities, torch: test entity f1 0.4237, validation entity f1 0.5505 in 18.6 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

from pathlib import Path

import keras
import numpy as np

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import SequenceBatches, load_text
from kzoo.data.encodings import marked_words, piece_labels
from kzoo.data.entities import load_entities
from kzoo.data.sequences import IGNORED
from kzoo.metrics import EntityF1
from kzoo.models.text.bert_heads import token_classifier
from kzoo.optimizers.fine_tuning import fine_tuning_adamw
from kzoo.predict import softmax
from kzoo.runs import Run
from kzoo.weights.encoders import text_encoder


def predicted(network, data, places):
    """For each sentence the probabilities of its words' tags, `(words, tags)`; a word that was cut off has zeros."""
    rows = (row for i in range(len(data)) for row in network.predict_on_batch(data.draw(0, i)[0]))
    return [np.where((first >= 0)[:, None], softmax(row)[first], 0.0) for row, first in zip(rows, places)]


def tags_of(probabilities, labels):
    """The likeliest tag of each word; one that was cut off is taken for none of an entity."""
    return [labels[i] for i in probabilities.argmax(-1)]


def kind(tag):
    return tag.partition("-")[2] or tag


def confused(truth, guess, kinds):
    """How often a word of one kind was taken for one of another, `(kinds, kinds)`."""
    matrix = np.zeros((len(kinds), len(kinds)), "int64")
    for tags, said in zip(truth, guess):
        for a, b in zip(tags, said):
            matrix[kinds.index(kind(a)), kinds.index(kind(b))] += 1
    return matrix


def shown(sentences, truth, guess, probabilities):
    """The sentences with an entity, each of its words with its tag, the guess and how sure it was, as text."""
    lines = []
    for words, tags, said, sure in zip(sentences, truth, guess, probabilities):
        if {*tags, *said} != {"O"}:
            lines.append(" ".join(words))
            for word, a, b, p in zip(words, tags, said, sure.max(-1)):
                if {a, b} != {"O"}:
                    lines.append(f"  {'right' if a == b else 'wrong'}  {word}: {b} {p:.0%}, truly {a}")
    return "\n".join(lines) + "\n"


def main(
    data: str = "wnut17",
    encoder: str = "all-MiniLM-L6-v2",
    epochs: int = 5,
    batch_size: int = 32,
    learning_rate: float = 1e-4,
    dropout: float = 0.1,
    length: int = 128,
    accelerate: bool = True,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Fine-tunes an encoder to tag words, and leaves it, what it confused and what it found in the run folder.

    Figures are seqeval's, of whole entities. `encoder` is what `kzoo.weights.encoders.text_encoder` takes. Sentences
    are read as far as `length` pieces; `samples` cuts each part.
    """
    settings = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, samples=samples)
    kzoo.set_seed(seed)
    entities = load_entities(data, seed=seed) if Path(data).is_file() else load_text(data)
    labels = entities.labels
    parts = {
        part: [side[:samples] for side in getattr(entities, part)] for part in ("train", "validation", "test")
    }
    engine = keras.config.backend()
    run = Run("named_entities", f"{entities.name}-{Path(encoder).name}-{engine}", settings)
    encoder_model, tokens = text_encoder(
        encoder, [" ".join(words) for words in parts["train"][0]], dropout=dropout
    )
    tokens.save(run.path("tokenizer.json"))
    batches, places = {}, {}
    for part, (sentences, tags) in parts.items():
        ids, places[part] = marked_words(tokens, sentences, length)
        y = piece_labels(ids, places[part], [[labels.index(tag) for tag in own] for own in tags])
        batches[part] = SequenceBatches(ids, y, batch_size, seed=seed, shuffle=part == "train")

    network = token_classifier(encoder_model, len(labels))
    if accelerate:
        kzoo.accelerate(network)
    network.compile(
        fine_tuning_adamw(network, learning_rate, epochs * len(batches["train"])),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED),
    )
    resume = Resume(run.path("resume"), data=batches["train"], configuration=settings)
    watched = dict(callbacks=[resume, run.log], verbose=recipes.verbosity())
    network.fit(batches["train"], epochs=epochs, validation_data=batches["validation"], **watched)

    figures = {}
    for part in ("validation", "test"):
        sentences, truth = parts[part]
        probabilities = predicted(network, batches[part], places[part])
        guess = [tags_of(one, labels) for one in probabilities]
        metric = EntityF1()
        metric.update([list(tags) for tags in truth], guess)
        figures |= {f"{part}_{name}": float(value) for name, value in metric.result().items()}
    figures["seconds"] = round(run.seconds, 1)
    run.path("found.txt").write_text(shown(sentences, truth, guess, probabilities))
    kinds = list(dict.fromkeys(map(kind, labels)))
    title = f"Test words by kind; F1 of entities {figures['test_entity_f1']:.1%}"
    plots.confusion(confused(truth, guess, kinds), kinds, run.path("confusion.png"), title)
    plots.curves(
        resume.history, run.path("curves.png"), f"{Path(encoder).name} on {entities.name} ({engine})"
    )
    card = dict(model=encoder, data=data, labels=list(labels), outputs="logits")
    run.save(network, figures=figures, history=resume.history, **card)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
