"""Language models of names: bigrams, a hidden layer, a tree of pairs, recurrent networks and a Transformer, compared.

Task       guess the next letter of a name, and so make up new names
Data       32,033 first names (ssa.gov, by way of karpathy/makemore), parted 80 : 10 : 10
Paper      Bengio et al. (2003); van den Oord et al. (2016), arXiv:1609.03499; Vaswani et al. (2017), arXiv:1706.03762
           karpathy/makemore, nats a letter: bigrams 2.454 on all names; on held-out ones the hidden layer 2.105, the
           tree 1.993, the Transformer 1.92
Command    kzoo run names --backend jax
           kzoo run names --designs transformer
Score      names, nats a letter, jax: bigram validation loss 2.4530, mlp validation loss 2.0984, wavenet validation
           loss 1.9648, rnn validation loss 2.0865, gru validation loss 2.0421, lstm validation loss 2.0561,
           transformer validation loss 1.9626 in 7.9 min*
           names, nats a letter, torch: mlp validation loss 2.0981, transformer validation loss 1.9632 in 14.5 min*
           names, nats a letter, tensorflow: mlp validation loss 2.0970, transformer validation loss 1.9641 in 41.5
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
from kzoo import explain, plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import Batches, Characters, SequenceBatches, load_names, split_names
from kzoo.data.names import ALPHABET, contexts
from kzoo.data.sequences import IGNORED
from kzoo.engine import unknown
from kzoo.models.text import made_up, nats_per_symbol
from kzoo.runs import Run

LETTERS = Characters(ALPHABET)
SGD, ADAM = keras.optimizers.SGD, functools.partial(keras.optimizers.AdamW, weight_decay=0.01, beta_2=0.99)
# Sizes, batches and rates are makemore's; `drop` is the share of the steps after which the rate falls to a tenth.
DESIGNS = {
    "bigram": dict(optimizer=ADAM, learning_rate=0.02, drop=0.5, epochs=10, batch_size=256),
    "mlp": dict(optimizer=SGD, learning_rate=0.1, drop=0.5, epochs=35, batch_size=32),
    "wavenet": dict(optimizer=SGD, learning_rate=0.1, drop=0.75, epochs=35, batch_size=32),
    **{
        name: dict(optimizer=ADAM, learning_rate=5e-4, drop=0.9, epochs=25, batch_size=32)
        for name in ("rnn", "gru", "lstm", "transformer")
    },
}


def batches(model, names, batch_size, **options):
    """Windows of letters for a model that sees so many, whole names for one that sees them all."""
    if length := model.input_shape[1]:
        return Batches(*contexts(names, length), batch_size, **options)
    rows = [LETTERS.encode(f".{name}.") for name in names]
    x, y, longest = [row[:-1] for row in rows], [row[1:] for row in rows], max(map(len, rows)) - 1
    return SequenceBatches(x, y, batch_size, lengths=sorted({min(8, longest), longest}), **options)


def create(design, longest):
    positions = {"context_length": longest} if design == "transformer" else {}
    return kzoo.create_model(f"makemore_{design}", vocabulary_size=LETTERS.vocabulary_size, **positions)


def train(design, parts, configuration, run):
    """Trains one design, or takes up where it stopped, and gives its row of the table."""
    options, seed = DESIGNS[design], configuration["seed"]
    epochs, rate = configuration["epochs"] or options["epochs"], options["learning_rate"]
    kzoo.set_seed(seed)
    longest = max(len(name) for names in parts.values() for name in names) + 1
    model = create(design, longest)
    kzoo.accelerate(model)
    # A last batch of a few letters would be a step as long as the others', and spoil what an epoch ends with.
    whole = len(parts["train"]) > options["batch_size"]
    data = batches(model, parts["train"], options["batch_size"], seed=seed, drop_last=whole)
    held = {part: batches(model, names, 1024, shuffle=False) for part, names in parts.items()}
    drop = int(options["drop"] * epochs * len(data))
    model.compile(
        options["optimizer"](keras.optimizers.schedules.PiecewiseConstantDecay([drop], [rate, rate / 10])),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED),
    )
    resume = Resume(run.path(f"resume-{design}"), data=data, configuration=configuration)
    watched = dict(callbacks=[resume, run.log], verbose=recipes.verbosity())
    model.fit(data, epochs=epochs, validation_data=held["validation"], **watched)
    model.save_weights(run.path(f"{design}.weights.h5"))
    made, known = made_up(model, LETTERS, 200, longest, seed=seed), set(parts["train"])
    tables = [layer.get_weights()[0].tolist() for layer in model.layers if layer.name == "embedding"]
    return {
        **{f"{part}_loss": nats_per_symbol(model, data) for part, data in held.items()},
        "parameters": model.count_params(),
        "new": [name for name in made if name and name not in known],
        "history": resume.history,
        "letters": tables[0] if tables else None,
    }


def main(
    data: str = "names",
    designs: str = "bigram,mlp,wavenet,rnn,gru,lstm,transformer",
    epochs: int | None = None,
    samples: int | None = None,
    seed: int = 42,
) -> dict[str, float]:
    """Trains each design, and shows their losses, names that they make up, and how they see letters.

    `data` may be a text file of other names. `epochs` is for all designs, not each its own; `samples` cuts the names.
    """
    configuration = dict(locals())
    recipes.check_positive(epochs=epochs, samples=samples)
    chosen = [name.strip() for name in designs.split(",") if name.strip()]
    if missing := [name for name in chosen if name not in DESIGNS]:
        raise unknown("design", missing[0], DESIGNS)
    names = load_names(None if data == "names" else data)[:samples]
    parts = dict(zip(("train", "validation", "test"), split_names(names, seed)))
    several = "-".join(chosen) if len(chosen) < 3 else f"{len(chosen)}_designs"
    run = Run("names", f"{Path(data).stem}-{several}-{keras.config.backend()}", configuration)
    rows = {one: run.once(one, functools.partial(train, one, parts, configuration, run)) for one in chosen}
    table = Table("design", "weights", *parts, "made up, and no training name", title="nats a letter")
    for name, row in rows.items():
        losses = [f"{row[f'{part}_loss']:.4f}" for part in parts]
        table.add_row(name, f"{row['parameters']:,}", *losses, " ".join(row["new"][:8]))
        if row["letters"]:
            points, picture = explain.embed(np.array(row["letters"]), "pca"), run.path(f"letters-{name}.png")
            plots.embedding(points, np.arange(len(points)), ALPHABET, picture, f"Letters as {name} sees them")
    Console().print(table)
    curves = {name: [row["history"]["val_loss"]] for name, row in rows.items()}
    plots.bands(curves, run.path("losses.png"), f"{len(names):,} names", y="validation loss, nats a letter")
    figures = {f"{name}_{part}_loss": row[f"{part}_loss"] for name, row in rows.items() for part in parts}
    figures["seconds"] = round(run.seconds, 1)
    best = min(chosen, key=lambda name: rows[name]["validation_loss"])
    model = create(best, max(map(len, names)) + 1)
    model.load_weights(run.path(f"{best}.weights.h5"))
    LETTERS.save(run.path("tokenizer.json"))
    more = dict(data=data, outputs="logits", sampled={name: row["new"][:20] for name, row in rows.items()})
    run.save(model, figures=figures, history=rows[best]["history"], model=model.name, **more)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
