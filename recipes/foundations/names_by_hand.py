"""Language models of names by hand: counted bigrams, then the neural network of Bengio et al., in NumPy alone.

Task       guess the next letter of a name, and so make up new names
Data       32,033 first names (ssa.gov, by way of karpathy/makemore), parted 80 : 10 : 10
Paper      Bengio et al. (2003), A neural probabilistic language model, Journal of Machine Learning Research 3
           karpathy/makemore: bigrams 2.454 nats a letter on all names; the network 2.105 on its validation tenth
Command    kzoo run names_by_hand
Score      names, nats, numpy: bigram loss 2.4540, validation loss 2.1015 in 2.2 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

from pathlib import Path

import numpy as np
from rich.console import Console

from kzoo import plots, recipes
from kzoo.data import load_names, split_names
from kzoo.data.names import ALPHABET, contexts
from kzoo.runs import Run
from kzoo.scratch import (
    Activation,
    Dense,
    Embedding,
    Flatten,
    Sequential,
    count_parameters,
    optimizers,
    train,
)
from kzoo.scratch.activations import softmax, tanh
from kzoo.scratch.losses import sparse_categorical_crossentropy


def counted(names):
    """How often each letter follows each."""
    x, y = contexts(names, 1)
    counts = np.zeros((len(ALPHABET),) * 2, "int64")
    np.add.at(counts, (x[:, 0], y), 1)
    return counts


def bigram_loss(counts, names, smoothing=0.0):
    """The mean negative log-likelihood of names in nats a letter, by the shares of counted pairs."""
    shares = counts + smoothing
    shares = shares / shares.sum(1, keepdims=True)
    x, y = contexts(names, 1)
    return float(-np.log(shares[x[:, 0], y]).mean())


def network(context, dim, hidden_dim, generator):
    """`softmax(W tanh(H e + d) + b)` of the joined embeddings `e`: equation 1 of the paper without direct edges."""

    def scaled(gain):
        return lambda shape, generator: generator.normal(size=shape) * gain / np.sqrt(shape[0])

    return Sequential(
        [
            Embedding(
                len(ALPHABET), dim, embeddings_initializer=scaled(len(ALPHABET) ** 0.5), seed=generator
            ),
            Flatten(),
            Dense(context * dim, hidden_dim, kernel_initializer=scaled(5 / 3), seed=generator),
            Activation(tanh),
            # Small, so that at first every letter is as likely: ln 27 nats.
            Dense(hidden_dim, len(ALPHABET), kernel_initializer=scaled(0.1), seed=generator),
        ]
    ).astype("float32")


def sampled(probabilities, context, count, generator):
    """Names made up letter by letter; `probabilities` of a context, `(1, context)`, are `(1, letters)`."""
    made = []
    while len(made) < count:
        indices, name = [0] * context, ""
        while len(name) < 30:
            share = probabilities(np.array([indices]))[0].astype("float64")
            following = int(generator.choice(len(ALPHABET), p=share / share.sum()))
            if following == 0:
                break
            name, indices = name + ALPHABET[following], [*indices[1:], following]
        made.append(name)
    return made


def main(
    data: str = "names",
    context: int = 3,
    dim: int = 10,
    hidden_dim: int = 200,
    epochs: int = 35,
    batch_size: int = 32,
    learning_rate: float = 0.1,
    samples: int | None = None,
    seed: int = 42,
) -> dict[str, float]:
    """Counts bigrams, trains the network by plain descent, and shows names that both make up.

    `data` may be a text file of other names, one on each line. `context` letters are seen at once; the learning rate
    falls to a tenth at half time; `samples` cuts the names.
    """
    configuration = dict(locals())
    recipes.check_positive(context=context, dim=dim, hidden_dim=hidden_dim, epochs=epochs)
    recipes.check_positive(batch_size=batch_size, learning_rate=learning_rate, samples=samples)
    run, console = Run("names_by_hand", f"{Path(data).stem}-numpy", configuration, engine="numpy"), Console()
    generator = np.random.default_rng(seed)
    names = load_names(None if data == "names" else data)[:samples]
    parts = dict(zip(("train", "validation", "test"), split_names(names, seed)))
    everything, counts = counted(names), counted(parts["train"])
    figures = {
        "bigram_loss": bigram_loss(everything, names),
        "bigram_validation_loss": bigram_loss(counts, parts["validation"], smoothing=1),
    }
    model = network(context, dim, hidden_dim, generator)
    letters = {part: contexts(several, context) for part, several in parts.items()}

    def loss_on(part):
        x, y = letters[part]
        return float(sparse_categorical_crossentropy(y, model.predict(x, 4096))[0])

    history = {"loss": [], "val_loss": []}
    for loss in train(
        model,
        *letters["train"],
        loss=sparse_categorical_crossentropy,
        optimizer=optimizers.SGD(learning_rate),
        **dict(epochs=epochs, batch_size=batch_size, seed=seed),
        schedule=lambda done: learning_rate * (1 if done < 0.5 else 0.1),
    ):
        history["loss"].append(loss)
        history["val_loss"].append(loss_on("validation"))
        console.print(f"epoch {len(history['loss'])}/{epochs}  loss {loss:.4f}")
    made = {"bigrams": sampled(lambda x: everything[x[:, -1]], 1, 12, generator)}
    made["network"] = sampled(lambda x: softmax(model.forward(x)), context, 12, generator)
    for kind, several in made.items():
        console.print(f"{kind}: {' '.join(several)}", soft_wrap=True)
    figures |= {f"{part}_loss": loss_on(part) for part in letters} | {"seconds": round(run.seconds, 1)}
    cells = [[f"{a}{b}\n{everything[i, j]}" for j, b in enumerate(ALPHABET)] for i, a in enumerate(ALPHABET)]
    plots.heat_map(
        np.sqrt(everything), ALPHABET, ALPHABET, run.path("bigrams.png"), "How often a letter follows another",
        "following letter", "letter", cells,
    )  # fmt: skip
    plots.curves(history, run.path("curves.png"), title="The network on names, nats a letter")
    run.finish(figures=figures, model="mlp", data=data, parameters=count_parameters(model), sampled=made)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
