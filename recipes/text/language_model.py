"""A language model of any text: bigrams, a recurrent network or a GPT, by characters or pieces of words.

Task       guess the next symbol of a text, and so write on
Data       Tiny Shakespeare, 1.1 million characters, the last tenth held out; another set that `kzoo list` shows, or a
           text file of your own
Paper      Radford et al. (2019), GPT-2; the settings are those of karpathy/nanoGPT for a CPU, which reaches 1.88 nats a
           character on 20 random batches of the part held out. Its larger ones, on a GPU, reach 1.47:
           --length 256 --batch-size 64 --dim 384 --depth 6 --num-heads 6 --dropout 0.2 --steps 5000
Command    kzoo run language_model --backend torch
           kzoo run language_model --model lstm --data my_book.txt --pieces 2000
           kzoo generate runs/language_model/tinyshakespeare-gpt-torch --prompt "ROMEO:"
Score      Tiny Shakespeare, nats a character, tensorflow: validation loss 1.9169 in 12.7 min*
           Tiny Shakespeare, nats a character, torch: validation loss 1.9177 in 21.6 min*
           Tiny Shakespeare, nats a character, jax: validation loss 1.8974 in 2.9 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import math
from pathlib import Path

import keras
import numpy as np
from keras import layers
from rich.console import Console

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import Characters, Subwords, WindowBatches, list_texts, load_corpus, load_text
from kzoo.data.corpora import Corpus
from kzoo.data.sequences import IGNORED
from kzoo.engine import unknown
from kzoo.models.text import nats_per_symbol
from kzoo.runs import Run

MODELS = ("gpt", "rnn", "gru", "lstm", "bigram")
STEPS_PER_EPOCH = 250  # after so many the part held out is looked at


def create(model, vocabulary_size, length, dim, depth, num_heads, dropout):
    """One of `MODELS`, from texts `(b, n)` to logits `(b, n, v)`."""
    if model == "bigram":
        tokens = keras.Input((None,), dtype="int32", name="tokens")
        table = layers.Embedding(vocabulary_size, vocabulary_size, name="embedding")
        return keras.Model(tokens, table(tokens), name=model)
    if model != "gpt":
        sizes = dict(dim=dim, hidden_dim=dim, depth=depth, dropout=dropout)
        return kzoo.create_model(f"makemore_{model}", vocabulary_size=vocabulary_size, **sizes)
    sizes = dict(max_sequence_length=length, dim=dim, depth=depth, num_heads=num_heads, dropout=dropout)
    return kzoo.create_model("nanogpt", vocabulary_size=vocabulary_size, **sizes)


def optimizer_of(network, steps, learning_rate, weight_decay):
    """AdamW as nanoGPT has it: warm-up, cosine to a tenth, clipped gradients, and a decay of matrices alone."""
    warm_up = min(100, steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm_up, alpha=0.1, warmup_target=learning_rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(
        schedule, beta_2=0.99, epsilon=1e-8, weight_decay=weight_decay, global_clipnorm=1.0
    )
    vectors = [variable for variable in network.trainable_variables if len(variable.shape) < 2]
    if vectors:
        optimizer.exclude_from_weight_decay(var_list=vectors)
    return optimizer


def main(
    data: str = "tinyshakespeare",
    model: str = "gpt",
    pieces: int | None = None,
    steps: int = 2000,
    length: int = 64,
    batch_size: int = 12,
    dim: int = 128,
    depth: int = 4,
    num_heads: int = 4,
    dropout: float = 0.0,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.1,
    accelerate: bool = True,
    samples: int | None = None,
    write: int = 500,
    seed: int = 1337,
) -> dict[str, float]:
    """Trains a language model, and leaves it, its vocabulary, its curve and what it writes in the run folder.

    With `pieces` the text is cut into so many different byte pairs, otherwise into characters. `samples` cuts each part
    of the text to so many characters; `write` is how many symbols to write at the end.
    """
    configuration = dict(locals())
    recipes.check_positive(steps=steps, length=length, batch_size=batch_size, samples=samples, write=write)
    if model not in MODELS:
        raise unknown("model", model, MODELS)
    kzoo.set_seed(seed)
    corpus = load_text(data) if data in list_texts() else load_corpus(data)
    if not isinstance(corpus, Corpus):
        raise ValueError(f"{data} is no running text: give tinyshakespeare, republic, names or a file")
    parts = {"train": corpus.train[:samples], "validation": corpus.validation[:samples]}
    engine = keras.config.backend()
    cut = "" if pieces is None else f"-{pieces}_pieces"
    run = Run("language_model", f"{Path(corpus.name).stem}{cut}-{model}-{engine}", configuration)

    if pieces is None:
        tokens = Characters.of(parts["train"] + parts["validation"])
    else:
        tokens = Subwords.train(parts["train"].splitlines(keepends=True), vocabulary_size=pieces)
    tokens.save(run.path("tokenizer.json"))
    lines = {part: text.splitlines(keepends=True) for part, text in parts.items()}
    ids = {part: np.concatenate([tokens.encode(line) for line in each]) for part, each in lines.items()}
    epochs = math.ceil(steps / STEPS_PER_EPOCH)
    train = WindowBatches(ids["train"], length, batch_size, steps=math.ceil(steps / epochs), seed=seed)
    validation = WindowBatches(ids["validation"], length, 64, shuffle=False)

    network = create(model, tokens.vocabulary_size, length, dim, depth, num_heads, dropout)
    if accelerate:
        kzoo.accelerate(network)
    network.compile(
        optimizer_of(network, epochs * len(train), learning_rate, weight_decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED),
    )
    resume = Resume(run.path("resume"), data=train, configuration=configuration)
    watched = dict(callbacks=[resume, run.log], verbose=recipes.verbosity())
    network.fit(train, epochs=epochs, validation_data=validation, **watched)

    loss = nats_per_symbol(network, validation)
    figures = {
        "validation_loss": loss,  # nats a symbol, of the whole part
        "validation_loss_per_character": loss * (len(ids["validation"]) - 1) / len(parts["validation"]),
        "train_loss": resume.history["loss"][-1],
        "vocabulary_size": tokens.vocabulary_size,
        "seconds": round(run.seconds, 1),
    }
    prompt = tokens.encode("\n") if "\n" in parts["train"] else ids["train"][:1]
    (written,) = kzoo.generate(network, [prompt], write, temperature=0.8, top_k=200, seed=seed)
    text = tokens.decode(written)
    run.path("written.txt").write_text(text)
    Console().print(text, markup=False, highlight=False)
    plots.curves(resume.history, run.path("curves.png"), f"{model} on {corpus.name} ({engine})")
    told = dict(model=model, data=corpus.name, outputs="logits", written=text)
    run.save(network, figures=figures, history=resume.history, **told)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
