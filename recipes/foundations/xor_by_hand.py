"""XOR by hand: what one perceptron cannot learn and a hidden layer can.

Task       say 1 where exactly one of two inputs is 1
Data       the four cases, and for training the same with noise
Paper      Rosenblatt (1958), doi:10.1037/h0042519; Minsky and Papert (1969), Perceptrons; Rumelhart, Hinton and
           Williams (1986), doi:10.1038/323533a0: XOR by backpropagation
Command    kzoo run xor_by_hand
Score      XOR, numpy: network accuracy 100.00% in 0.1 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import numpy as np
from rich.console import Console

from kzoo import plots, recipes
from kzoo.runs import Run
from kzoo.scratch import (
    Activation,
    Dense,
    Perceptron,
    Sequential,
    count_parameters,
    losses,
    optimizers,
    train,
)
from kzoo.scratch.activations import sigmoid, tanh
from kzoo.scratch.autograd import Tensor, graph


def cases(examples, noise, generator):
    """The four corners again and again, each moved by normal noise: inputs `(n, 2)` and labels `(n,)`."""
    corners = np.arange(examples) % 4
    x = np.stack([corners // 2, corners % 2], -1).astype("float64")
    return x + noise * generator.normal(size=x.shape), (corners % 3 > 0).astype("int64")


def automatic(parameters, x, y):
    """The same network written for `kzoo.scratch.autograd`: its loss, and tensors that hold the parameters."""
    w = {
        name: Tensor(value, name=f"{'hidden' if name[0] == '0' else 'output'} {name[2:]}")
        for name, value in parameters.items()
    }
    hidden = (Tensor(x, name="inputs") @ w["0.kernel"] + w["0.bias"]).tanh()
    logits = hidden @ w["2.kernel"] + w["2.bias"]
    # log(1 + exp(-z)), with the sign turned to the truth's
    margins = Tensor(1.0 - 2.0 * y, name="signs") * logits
    loss = (margins.exp() + 1).log().mean()
    loss.backward()
    return loss, w


def main(
    hidden_dim: int = 4,
    epochs: int = 200,
    learning_rate: float = 0.05,
    samples: int = 400,
    noise: float = 0.1,
    seed: int = 0,
) -> dict[str, float]:
    """Trains a perceptron on the four corners and a network on noisy ones; compares gradients by hand with automatic.

    `samples` are the training examples, `noise` is the standard deviation around the corners; the accuracies are on
    the four corners themselves.
    """
    configuration = dict(locals())
    recipes.check_positive(hidden_dim=hidden_dim, epochs=epochs, learning_rate=learning_rate, samples=samples)
    run, console = Run("xor_by_hand", "xor-numpy", configuration, engine="numpy"), Console()
    generator = np.random.default_rng(seed)
    x, y = cases(samples, noise, generator)
    corners, truth = cases(4, 0.0, generator)

    perceptron = Perceptron(2)
    mistakes = perceptron.fit(corners, truth, epochs=epochs)
    console.print(f"perceptron: {mistakes[-1]} mistakes on four corners in epoch {len(mistakes)}")

    model = Sequential(
        [Dense(2, hidden_dim, seed=generator), Activation(tanh), Dense(hidden_dim, 1, seed=generator)]
    )
    history = {"loss": []}
    for loss in train(
        model, x, y[:, None], loss=losses.binary_crossentropy, optimizer=optimizers.Adam(learning_rate),
        epochs=epochs, batch_size=64, seed=seed,
    ):  # fmt: skip
        history["loss"].append(loss)
        if len(history["loss"]) % max(1, epochs // 5) == 0:
            console.print(f"epoch {len(history['loss'])}/{epochs}  loss {loss:.4f}")

    target = truth[:, None]
    value, dy = losses.binary_crossentropy(target, model.forward(corners))
    model.backward(dy)
    loss, tensors = automatic(model.parameters, corners, target)
    difference = max(np.abs(tensors[name].gradient - g).max() for name, g in model.gradients.items())
    said = model.forward(corners)[:, 0] > 0
    figures = {
        "perceptron_accuracy": float(np.mean(perceptron.predict(corners) == truth)),
        "network_accuracy": float(np.mean(said == truth)),
        "corner_loss": float(value),
        "automatic_difference": float(max(difference, abs(loss.value - value))),
        "seconds": round(run.seconds, 1),
    }
    plots.decision_surfaces(
        {
            f"perceptron: {figures['perceptron_accuracy']:.0%} of the corners": perceptron.predict,
            f"{hidden_dim} hidden units: {figures['network_accuracy']:.0%}": lambda p: sigmoid(model.forward(p))[:, 0],
        },
        corners, truth, run.path("surfaces.png"), "XOR, learned by hand",
    )  # fmt: skip
    plots.curves(history, run.path("curves.png"), title="XOR, training")
    plots.computation(*graph(loss), run.path("graph.png"), title="The network's graph, as autograd sees it")
    run.finish(figures=figures, model="mlp", data="xor", parameters=count_parameters(model))
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
