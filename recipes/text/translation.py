"""Translation by a Transformer: an encoder reads English, a decoder writes French.

Task       translate a sentence
Data       Multi30k, 29,000 descriptions of pictures to train on, 1,014 to validate, test 2016 with 1,000; or `tatoeba`,
           or a file with a text, a tab and its translation on each line
Paper      Vaswani et al. (2017), arXiv:1706.03762: the network, its rate, its smoothing; byte pairs of both languages
           together, Sennrich et al. (2016), arXiv:1508.07909. Test 2016: BLEU 61.8 by a small Transformer (Wu et al.
           2021), of tokenised text, which is above what sacrebleu counts of plain text
Command    kzoo run translation --backend torch
           kzoo run translation --data tatoeba --epochs 3
Score      Multi30k, English to French, test 2016, torch: test bleu 56.57, test greedy bleu 55.35 in 43.1 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

from pathlib import Path

import keras
import numpy as np

import kzoo
from kzoo import plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import SequenceBatches, Subwords, load_text
from kzoo.data.pairs import load_pairs
from kzoo.data.sequences import IGNORED
from kzoo.generation import translate
from kzoo.losses import SmoothedCrossentropy
from kzoo.metrics import BLEU
from kzoo.models.text.translation import across_weights
from kzoo.optimizers.schedules import Noam
from kzoo.runs import Run

SPECIALS = ("[PAD]", "[UNK]", "[BEGIN]", "[END]")
BEGIN, END = 2, 3


def batches(pairs, tokens, longest, batch_size, **options):
    """Sentences and their translations, the network being told all of a translation but its last symbol."""
    source, target = (tokens.encode_all(side) for side in pairs)
    kept = [
        i for i, (a, b) in enumerate(zip(source, target)) if 0 < len(a) < longest and 0 < len(b) < longest
    ]
    x = {
        "source": [np.append(source[i], END) for i in kept],
        "target": [np.insert(target[i], 0, BEGIN) for i in kept],
    }
    y = [np.append(target[i], END) for i in kept]
    return SequenceBatches(x, y, batch_size, lengths=6, **options)


def words(tokens, ids):
    """Each piece as it is read, and the special ones by their names."""
    return [SPECIALS[i] if i < len(SPECIALS) else tokens.decode([i]).strip() or "·" for i in ids]


def draw_attention(network, tokens, source, written, path, title):
    """Where the last block of the decoder looks in the source while it writes: the mean over its heads."""
    source, target = np.append(source, END), np.insert(written, 0, BEGIN)
    *_, weights = across_weights(network, source[None], target[None]).values()
    rows = words(tokens, np.append(written, END))
    plots.attention(weights[0].mean(0), rows, words(tokens, source), path, title)


def main(
    data: str = "multi30k",
    epochs: int = 8,
    batch_size: int = 64,
    pieces: int = 4000,
    dim: int = 256,
    depth: int = 3,
    num_heads: int = 4,
    mlp_ratio: int = 2,
    dropout: float = 0.1,
    smoothing: float = 0.1,
    warm_up: int = 800,
    scale: float = 0.7,
    num_beams: int = 4,
    longest: int = 60,
    accelerate: bool = True,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Trains a translator, and leaves it, its vocabulary, its translations and where it looked in the run folder.

    `pieces` is the size of the vocabulary that both languages share, `warm_up` and `scale` are of Noam's schedule.
    Sentences of more than `longest` pieces are left out of the training. The weights that are kept are moving averages.
    BLEU is sacrebleu's: of plain text, tokenised by it as 13a, with case. `samples` cuts each part.
    """
    settings = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, warm_up=warm_up, samples=samples)
    kzoo.set_seed(seed)
    pairs = load_pairs(data, seed=seed) if Path(data).is_file() else load_text(data)
    if samples is not None:
        pairs = pairs.take(samples, seed)
    engine = keras.config.backend()
    run = Run("translation", f"{pairs.name}-{'-'.join(pairs.languages)}-{engine}", settings)
    tokens = Subwords.train((text for side in pairs.train for text in side), "bpe", pieces, specials=SPECIALS)
    tokens.save(run.path("tokenizer.json"))
    train = batches(pairs.train, tokens, longest, batch_size, seed=seed)
    validation = batches(pairs.validation, tokens, 4 * longest, 128, shuffle=False)

    sizes = dict(dim=dim, depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio, dropout=dropout)
    network = kzoo.create_model("translation_small", vocabulary_size=tokens.vocabulary_size, **sizes)
    if accelerate:
        kzoo.accelerate(network)
    momentum = 1.0 - 1.0 / max(2.0, 0.6 * len(train))  # over about half an epoch
    average = dict(use_ema=True, ema_momentum=momentum, ema_overwrite_frequency=None)
    rate = Noam(dim, warm_up, scale)
    optimizer = keras.optimizers.Adam(rate, beta_2=0.98, epsilon=1e-9, global_clipnorm=1.0, **average)
    network.compile(optimizer, SmoothedCrossentropy(smoothing, ignore_class=IGNORED))

    def fit():
        resume = Resume(run.path("resume"), data=train, configuration=settings)
        watched = dict(callbacks=[resume, run.log], verbose=recipes.verbosity())
        network.fit(train, epochs=epochs, validation_data=validation, **watched)
        network.save_weights(run.path("trained.weights.h5"))
        return resume.history

    history = run.once("training", fit)
    network.load_weights(run.path("trained.weights.h5"))
    sources, references = pairs.test
    encoded = [np.append(ids, END) for ids in tokens.encode_all(sources)]
    scores = {}
    for name, beams in (("greedy", 1), ("beam", num_beams)):
        options = dict(begin=BEGIN, end=END, num_beams=beams, batch_size=64)
        written = translate(network, encoded, 2 * longest, **options)
        metric = BLEU()
        metric.update(references, [tokens.decode(ids) for ids in written])
        scores[f"{name}_bleu"] = float(metric.result()["bleu"])
    said = [tokens.decode(ids) for ids in written]
    lines = [f"{a}\n  {c}\n  ({b})\n" for a, b, c in zip(sources, references, said)]
    run.path("translations.txt").write_text("\n".join(lines))
    for i, path in enumerate(run.path(f"attention-{i}.png") for i in (1, 2, 3)[: len(said)]):
        draw_attention(network, tokens, encoded[i][:-1], written[i], path, sources[i])
    figures = {
        "test_bleu": scores["beam_bleu"],
        "test_greedy_bleu": scores["greedy_bleu"],
        "validation_loss": history["val_loss"][-1],
        "vocabulary_size": tokens.vocabulary_size,
        "seconds": round(run.seconds, 1),
    }
    plots.curves(history, run.path("curves.png"), f"{' to '.join(pairs.languages)} ({engine})")
    card = dict(model="translation_small", data=data, outputs="logits", bleu=metric.signature())
    run.save(network, figures=figures, history=history, **card)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
