"""Word vectors from two million words: skip-gram, CBOW and GloVe, beside what people say of words.

Task       find a vector for each word, so that words that are used alike lie together
Data       the English text sets that `kzoo list` shows: plays, the Republic, reviews, news, captions, sentences to be
           translated, instructions; or a text file of your own
Paper      Mikolov et al. (2013), arXiv:1310.4546: skip-gram and CBOW with negative sampling
           Pennington et al. (2014), GloVe, D14-1162: WordSim 0.66 and 72 % of the analogies, from 6 billion words
Command    kzoo run word_vectors --backend jax
Score      word vectors of 2.1 million words, jax: skip gram ws353 0.5221, cbow ws353 0.3105, glove ws353 0.2930,
           skip gram men 0.5203, skip gram simlex999 0.1882, skip gram analogies 0.1533, skip gram reviews accuracy
           69.04%, random reviews accuracy 66.79% in 11.5 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import functools
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

import kzoo
from kzoo import explain, plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import SequenceBatches, load_text, read_lines
from kzoo.data.sentences import ENGLISH, sentences, words_of
from kzoo.data.word_contexts import CooccurrenceBatches, WordBatches, Words, cooccurrences
from kzoo.engine import unknown
from kzoo.losses import NegativeSampling
from kzoo.models.text import WordVectors, cbow, glove, skip_gram, vectors_of
from kzoo.runs import Run

METHODS = ("skip_gram", "cbow", "glove")
SHOWN = "king river money blue running minister guitar seven happy city"
MAP = (
    "red blue green white black two three four five ten mother father son daughter wife brother dog cat horse bird "
    "week month year day france england japan china water wine beer milk hand head arm leg eyes"
)


def train(method, text, words, options, run):
    """Trains one method, or takes up where it stopped, and leaves its file of vectors."""
    size, dim, seed = words.vocabulary_size, options["dim"], options["seed"]
    kzoo.set_seed(seed)
    if method == "glove":
        model, counted = glove(size, dim), cooccurrences(text, size, 2 * options["window"])  # as its paper
        data = CooccurrenceBatches(*counted, options["batch_size"], limit=10, seed=seed)
        optimizer = keras.optimizers.Adagrad(options["glove_rate"], initial_accumulator_value=1.0)
        model.compile(optimizer, keras.losses.MeanSquaredError(reduction="sum"))
    else:
        model = skip_gram(size, dim) if method == "skip_gram" else cbow(size, dim, window=options["window"])
        drawn = {name: options[name] for name in ("window", "negatives", "subsample", "seed")}
        data = WordBatches(text, words.counts, options["batch_size"], kind=method, **drawn)
        rate, steps = options["learning_rate"], options["epochs"] * len(data)
        rate = keras.optimizers.schedules.PolynomialDecay(rate, steps, rate / 100)
        model.compile(keras.optimizers.Adam(rate), NegativeSampling())
    resume = Resume(run.path(f"resume-{method}"), data=data, configuration=options)
    model.fit(data, epochs=options["epochs"], callbacks=[resume, run.log], verbose=recipes.verbosity())
    vectors_of(model, words.words).save(run.path(f"{method}.bin"), "word2vec_binary")
    return resume.history["loss"]


def measured(vectors, judged):
    """Correlations with people's judgements or the share of right answers, and how much of each set is covered."""
    found = {}
    for name in judged:
        known = load_text(name)
        if name == "analogies":
            right, covered, asked = map(sum, zip(*vectors.answers(known).values()))
            value = right / max(1, covered)
        else:
            value, covered, asked = vectors.agreement(known)
        found |= {name: float(np.nan_to_num(value)), f"{name}_covered": covered / asked}
    return found


def classified(vectors, words, count, seed):
    """Test accuracy on reviews of a network on the mean of their words' vectors, from so many training reviews."""
    reviews, parts = load_text("rt_polarity", seed=seed).take({"train": count}), []
    for x, y in (reviews.train, reviews.test):
        rows = [row if len(row) else [0] for row in words.encode(map(words_of, x))]
        parts.append(SequenceBatches(rows, y, 32, lengths=(40,), cut=True, seed=seed))
    kzoo.set_seed(seed)
    table, _ = vectors.rows(("", *words.words), seed)
    model = kzoo.create_model("text_mean", vocabulary_size=len(table), vectors=table, dropout=0.5)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
    model.fit(parts[0], epochs=10, verbose=0)
    return model.evaluate(parts[1], verbose=0, return_dict=True)["accuracy"]


def main(
    data: str = "english",
    methods: str = "skip_gram,cbow,glove",
    dim: int = 100,
    window: int = 5,
    minimum: int = 5,
    negatives: int = 5,
    subsample: float = 1e-3,
    epochs: int = 8,
    batch_size: int = 4096,
    learning_rate: float = 3e-3,
    glove_rate: float = 0.3,
    judged: str = "ws353,simlex999,men,mturk771,analogies",
    reviews: int = 1000,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains each method on the same sentences; shows neighbours, agreement with people, analogies and a map.

    A word must come `minimum` times; `judged` names sets of people's judgements; a classifier learns from `reviews`.
    """
    configuration = dict(locals())
    recipes.check_positive(dim=dim, window=window, epochs=epochs, batch_size=batch_size, samples=samples)
    chosen, judged = ([one for one in named.split(",") if one] for named in (methods, judged))
    if missing := [one for one in chosen if one not in METHODS]:
        raise unknown("method", missing[0], METHODS)
    own = map(words_of, read_lines(data)) if Path(data).is_file() else None
    text = list(own or (sentence for name in ENGLISH for sentence in sentences(name)))[:samples]
    words, console = Words(text, minimum), Console()
    text = words.encode(text)
    console.print(f"{sum(map(len, text)):,} words, {len(words.words):,} different ones")
    run = Run("word_vectors", f"{Path(data).stem}-{keras.config.backend()}", configuration)
    figures = {}
    for one in chosen:
        run.once(one, functools.partial(train, one, text, words, configuration, run))
        vectors = WordVectors.load(run.path(f"{one}.bin"))
        figures |= {f"{one}_{name}": value for name, value in measured(vectors, judged).items()}
        if reviews:
            figures[f"{one}_reviews_accuracy"] = classified(vectors, words, reviews, seed)
        for word in filter(vectors.__contains__, SHOWN.split()):
            console.print(f"{one}, {word}:", *(other for other, _ in vectors.nearest(word, 8)))
        if len(shown := [word for word in MAP.split() if word in vectors]) > 3:
            points = explain.embed(vectors.rows(shown)[0], seed=seed)
            plots.embedding(points, np.arange(len(shown)), shown, run.path(f"map-{one}.png"), f"By {one}")
    if reviews:
        none = WordVectors(("",), np.full((1, dim), 0.05))
        figures["random_reviews_accuracy"] = classified(none, words, reviews, seed)
    if judged:
        matrix = np.array([[figures[f"{one}_{name}"] for name in judged] for one in chosen])
        cells = [[f"{value:.2f}" for value in row] for row in matrix]
        plots.heat_map(matrix, chosen, judged, run.path("judged.png"), "Agreement with people", cells=cells)
    figures |= {"words": len(words.words), "tokens": sum(map(len, text)), "seconds": round(run.seconds, 1)}
    run.finish(figures=figures, model=methods, data=data, parameters=2 * dim * words.vocabulary_size)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
