"""Text classification: means of words, recurrent networks, convolutions and a Transformer encoder, compared.

Task       tell the class of a text: whether a review praises, what an article is about
Data       SST-2 (`sst2`), rt-polarity (`rt_polarity`), AG News (`ag_news`: the 7,600 articles of its published test
           part alone, parted 80 : 10 : 10), or a file of your own: on each line a text, a tab and its class
Paper      Kim (2014), arXiv:1408.5882: the CNN without foreign vectors 82.7 % on SST-2's test part, having learnt
           from phrases too (ours learn from the 6,920 whole sentences), and 76.1 % on rt-polarity
Command    kzoo run text_classification --backend torch
           kzoo run text_classification --models text_lstm,text_bilstm,text_cnn,text_mean,text_transformer --seeds 3
Score      SST-2, 6,920 sentences, 3 seeds, torch: text lstm validation accuracy 79.47%, text bilstm validation
           accuracy 79.05%, text lstm test accuracy 80.94%, text bilstm test accuracy 80.25%, text cnn test accuracy
           79.70%, text transformer test accuracy 78.40% in 7.1 min*
           rt-polarity, one fold of ten, torch: text lstm test accuracy 77.02%, text bilstm test accuracy 77.49%,
           text cnn test accuracy 75.80% in 12.4 min*
           AG News, 6,080 articles, torch: text bilstm test accuracy 87.11%, text cnn test accuracy 89.08% in 12.4
           min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import functools
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import Subwords, load_labelled, load_text, text_batches
from kzoo.data.parts import split
from kzoo.models.text import WordVectors
from kzoo.runs import Run


def parted(data, seed):
    """Parts to train on, to choose the epoch by, and to measure on: where all three are published, none chooses."""
    if data.name != "sst2":
        return {"train": data.train, "chooser": data.validation, "test": data.test}
    (x, y), chosen = data.train, split(data.train[1], 0.1, seed)
    train, chooser = ((x[part], y[part]) for part in chosen)
    return {"train": train, "chooser": chooser, "validation": data.validation, "test": data.test}


def create(name, data, tokens, options):
    table, rates = None, {key: options[key] for key in ("dim", "dropout", "word_dropout")}
    if options["vectors"]:
        table, _ = WordVectors.load(options["vectors"]).rows(tokens.symbols, options["seed"])
    sizes = dict(vocabulary_size=tokens.vocabulary_size, num_classes=data.num_classes)
    return kzoo.create_model(name, vectors=table, **sizes, **rates)


def train(name, seed, data, tokens, options, run):
    """Trains one model from one seed, keeps the weights of its best epoch, and gives its row of the table."""
    kzoo.set_seed(seed)
    model = create(name, data, tokens, options)
    kzoo.accelerate(model)
    shape = dict(tokens=tokens, batch_size=options["batch_size"], longest=options["longest"], seed=seed)
    parts = {
        part: text_batches(*texts, **shape, shuffle=part == "train")
        for part, texts in parted(data, options["seed"]).items()
    }
    model.compile(
        keras.optimizers.Adam(options["learning_rate"], global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    learnt, chooser = parts.pop("train"), parts.pop("chooser")
    resume = Resume(run.path(f"resume-{name}-{seed}"), learnt, options, best="val_accuracy")
    watched = dict(callbacks=[resume, run.log], verbose=recipes.verbosity())
    model.fit(learnt, epochs=options["epochs"], validation_data=chooser, **watched)
    model.save_weights(run.path(f"{name}-{seed}.weights.h5"))
    right = {part: model.predict(held, verbose=0).argmax(-1) == held.y for part, held in parts.items()}
    words = np.concatenate([held.x for held in parts.values()])  # how many of each text
    every, middle = np.concatenate([*right.values()]), np.median(words)
    right |= {"short": every[words <= middle], "long": every[words > middle]}
    measured = {f"{part}_accuracy": float(np.sum(one) / max(1, len(one))) for part, one in right.items()}
    return {"measured": measured, "history": resume.history, "parameters": model.count_params()}


def main(
    data: str = "sst2",
    models: str = "text_bilstm",
    seeds: int = 1,
    epochs: int = 6,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    dim: int = 100,
    dropout: float = 0.5,
    word_dropout: float = 0.2,
    minimum: int = 2,
    longest: int = 128,
    vectors: str | None = None,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains each model from so many seeds; shows figures, also of short and long texts, and the best one's answers.

    A word must come `minimum` times in the training part; texts are read as far as `longest` words. `vectors` is a file
    of word vectors to begin with, such as `kzoo run word_vectors` leaves: these have read all of rt-polarity, whose
    sentences SST-2 shares. `samples` cuts each part of the data.
    """
    configuration = dict(locals())
    recipes.check_positive(seeds=seeds, epochs=epochs, batch_size=batch_size, samples=samples)
    names = [name.strip() for name in models.split(",") if name.strip()]
    texts = load_labelled(data, seed=seed) if Path(data).is_file() else load_text(data)
    texts = texts if samples is None else texts.take(samples, seed)
    learnt = parted(texts, seed)["train"][0]
    tokens = Subwords.train(learnt, "words", 30_000, lowercase=True, minimum=minimum)
    made = {name: create(name, texts, tokens, configuration) for name in names}  # before anything is trained
    several = (names[0] if len(names) == 1 else f"{len(names)}_models") + ("-vectors" if vectors else "")
    run = Run("text_classification", f"{texts.name}-{several}-{keras.config.backend()}", configuration)
    tokens.save(run.path("tokenizer.json"))
    figures, curves, rows, table = {}, {}, {}, Table("model", "weights", "measured", title=texts.name)
    for name in names:
        for i in range(seed, seed + seeds):
            compute = functools.partial(train, name, i, texts, tokens, configuration, run)
            rows[name, i] = run.once(f"{name} {i}", compute)
        own = [row for (one, _), row in rows.items() if one == name]
        means = {key: float(np.mean([row["measured"][key] for row in own])) for key in own[0]["measured"]}
        cells = ", ".join(f"{key.removesuffix('_accuracy')} {value:.2%}" for key, value in means.items())
        table.add_row(name, f"{own[0]['parameters']:,}", cells)
        figures |= {f"{name}_{key}": value for key, value in means.items()}
        curves[name] = [row["history"]["val_accuracy"] for row in own]
    Console().print(table)
    plots.bands(curves, run.path("models.png"), texts.name, y="accuracy on the part that chooses the epoch")
    best = max(rows, key=lambda one: max(rows[one]["history"]["val_accuracy"]))
    model, history = made[best[0]], rows[best]["history"]
    model.load_weights(run.path(f"{best[0]}-{best[1]}.weights.h5"))
    held = text_batches(*texts.test, tokens, batch_size, longest=longest, shuffle=False)
    scores = model.predict(held, verbose=0)
    examples = plots.texts(*texts.test, scores, texts.labels, run.path("texts.png"), model.name)
    matrix = np.zeros((texts.num_classes,) * 2, "int64")
    np.add.at(matrix, (held.y, scores.argmax(-1)), 1)
    plots.confusion(matrix, texts.labels, run.path("confusion.png"), f"{model.name}, test")
    plots.curves(history, run.path("curves.png"), f"{model.name} on {texts.name}")
    figures["seconds"] = round(run.seconds, 1)
    card = dict(data=texts.name, labels=list(texts.labels), outputs="logits", examples=examples)
    run.save(model, figures=figures, history=history, model=model.name, **card)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
