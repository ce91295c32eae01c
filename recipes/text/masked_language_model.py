"""Pre-training a BERT from scratch by filling in masked words.

Task       guess the pieces of words that were hidden, from both sides
Data       English text sets: The Republic, film reviews, news, descriptions of pictures, paragraphs,
           a twentieth of the sentences held out; or a text file of your own
Paper      Devlin et al. (2018), BERT, arXiv:1810.04805, section 3.1: of each text 15 % of the pieces are guessed, of
           which 80 % are masked, 10 % are others and 10 % as they were. They are drawn anew in each epoch, as in
           RoBERTa, Liu et al. (2019), arXiv:1907.11692; there is no next sentence
Command    kzoo run masked_language_model --backend torch
           kzoo run fine_tuning --encoder runs/masked_language_model/texts-bert_mini-torch --learning-rate 0.0003
Score      English text sets, masked words, nats, torch: validation loss 4.1405, perplexity 62.84 in 38.7 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import math
from pathlib import Path

import keras
import numpy as np

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data.encodings import MASK, marked, word_pieces
from kzoo.data.masked import MaskedBatches
from kzoo.data.sentences import WORD, written
from kzoo.data.sequences import IGNORED, LENGTHS
from kzoo.models.text import nats_per_symbol
from kzoo.models.text.bert_heads import masked_guesses, masked_language_model
from kzoo.optimizers.fine_tuning import fine_tuning_adamw
from kzoo.predict import softmax
from kzoo.runs import Run

SETS = "republic,rt_polarity,ag_news,multi30k,xquad"
SENTENCES = (
    "A man is riding a [MASK] down the street.",
    "The film is one of the [MASK] of the year.",
    "Two dogs are [MASK] in the grass.",
    "Justice is the [MASK] of the soul.",
)


def filled_in(network, tokens, sentences, count=5):
    """The likeliest pieces for the masks of sentences, as lines of text."""
    lines, mask = [], tokens.id_of(MASK)
    for sentence, ids in zip(sentences, marked(tokens, sentences, 128)):
        row = softmax(network.predict_on_batch(ids[None])[0][np.flatnonzero(ids == mask)[0]])
        best = np.argsort(-row)[:count]
        guesses = ", ".join(f"{tokens.tokenizer.id_to_token(int(i))} {row[i]:.1%}" for i in best)
        lines.append(f"{sentence}\n  {guesses}")
    return "\n".join(lines) + "\n"


def main(
    data: str = SETS,
    model: str = "bert_mini",
    epochs: int = 10,
    batch_size: int = 32,
    learning_rate: float = 5e-4,
    pieces: int = 8000,
    length: int = 64,
    rate: float = 0.15,
    dropout: float = 0.1,
    accelerate: bool = True,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains an encoder and its vocabulary, and leaves them where `fine_tuning --encoder` finds them.

    `data` names text sets, or a text file. `length` is the pieces of a text, `rate` the share of
    them that is guessed; `samples` cuts the texts.
    """
    settings = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, length=length, samples=samples)
    kzoo.set_seed(seed)
    names = [name.strip() for name in data.split(",")]
    texts = [text for name in names for text in written(name) if len(WORD.findall(text)) > 1]
    chosen = np.random.default_rng(seed).permutation(len(texts))[:samples]
    texts = [texts[i] for i in chosen]
    cut = max(1, len(texts) // 20)
    parts = {"validation": texts[:cut], "train": texts[cut:]}
    engine = keras.config.backend()
    name = Path(data).stem if len(names) == 1 else "texts"
    run = Run("masked_language_model", f"{name}-{model}-{engine}", settings)
    tokens = word_pieces(parts["train"], pieces)
    tokens.save(run.path("tokenizer.json"))
    train, validation = (
        MaskedBatches(
            marked(tokens, parts[part], length),
            tokens,
            batch_size,
            rate=rate,
            places=True,
            lengths=[*(n for n in LENGTHS if n < length), length],
            seed=seed,
            shuffle=part == "train",
        )
        for part in ("train", "validation")
    )
    encoder = kzoo.create_model(
        model, vocabulary_size=tokens.vocabulary_size, max_sequence_length=max(length, 128), dropout=dropout
    )
    network = masked_language_model(encoder)
    training = masked_guesses(network)
    if accelerate:
        kzoo.accelerate(training)
    training.compile(
        fine_tuning_adamw(training, learning_rate, epochs * len(train)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED),
    )
    resume = Resume(run.path("resume"), data=train, configuration=settings)
    watched = dict(callbacks=[resume, run.log], verbose=recipes.verbosity())
    training.fit(train, epochs=epochs, validation_data=validation, **watched)

    loss = nats_per_symbol(training, validation)
    figures = {
        "validation_loss": loss,  # nats a piece that is guessed
        "perplexity": math.exp(loss),
        "train_loss": resume.history["loss"][-1],
        "vocabulary_size": tokens.vocabulary_size,
        "seconds": round(run.seconds, 1),
    }
    run.path("filled_in.txt").write_text(filled_in(network, tokens, SENTENCES))
    plots.curves(resume.history, run.path("curves.png"), f"{model}, masked words ({engine})")
    run.save(network, figures=figures, history=resume.history, model=model, data=data, outputs="logits")
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
