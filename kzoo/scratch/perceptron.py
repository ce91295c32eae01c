"""The perceptron, which learned before there was backpropagation."""

import numpy as np


class Perceptron:
    """A linear threshold unit that learns from its mistakes: Rosenblatt (1958), doi:10.1037/h0042519.

    It says 1 where `x w + b > 0`. For each example it gets wrong, `w += (y - said) x` and `b += y - said`; for those it
    gets right, nothing. If a line parts the classes it finds one after finitely many mistakes (Novikoff, 1962); if none
    does, as for XOR, it never rests (Minsky and Papert, 1969).

    Args:
        input_dim: the length of an example.
        learning_rate: scales the corrections; with weights that start at zero it changes no answer.
    """

    def __init__(self, input_dim, learning_rate=1.0):
        self.learning_rate = learning_rate
        self.parameters = {"kernel": np.zeros(input_dim), "bias": np.zeros(1)}

    def predict(self, x):
        """0 or 1 for each row."""
        return (x @ self.parameters["kernel"] + self.parameters["bias"] > 0).astype("int64")

    def fit(self, x, y, epochs=100):
        """Goes through the examples in their order until an epoch is without mistakes.

        Args:
            x: `(b, input_dim)`.
            y: 0 or 1, `(b,)`.
            epochs: after how many to give up.

        Returns:
            The number of mistakes in each epoch; the last is 0 if the classes could be parted.
        """
        mistakes = []
        for _ in range(epochs):
            wrong = 0
            for row, target in zip(x, y):
                error = int(target) - int(self.predict(row[None])[0])
                if error:
                    self.parameters["kernel"] += self.learning_rate * error * row
                    self.parameters["bias"] += self.learning_rate * error
                    wrong += 1
            mistakes.append(wrong)
            if not wrong:
                break
        return mistakes
