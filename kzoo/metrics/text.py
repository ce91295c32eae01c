"""What metrics of texts share: they collect pairs of texts and hand them to a reference library at the end.

They run on the host, on strings: `update(references, hypotheses)`, `result()`, `reset()`. `kzoo.callbacks.Evaluate`
calls them during `fit`.
"""


class TextMetric:
    """Collects pairs of a reference and a hypothesis; a subclass says what is made of them.

    Subclasses define `compute()`, a dict of figures, and may restrict `check`.
    """

    several_references = False  # whether a reference may be a list of texts, any of which will do

    def __init__(self):
        self.references, self.hypotheses = [], []

    def update(self, references, hypotheses):
        """Adds pairs.

        Args:
            references: a list of what is right: texts, or lists of texts where several are.
            hypotheses: a list, as long, of what was produced.

        Raises:
            ValueError: if the lists are not of one length.
            TypeError: if something in them is not what this metric reads.
        """
        if isinstance(references, str) or isinstance(hypotheses, str):
            raise TypeError(
                "references and hypotheses are lists, one entry per example. Received: a single text"
            )
        references, hypotheses = list(references), list(hypotheses)
        if len(references) != len(hypotheses):
            raise ValueError(
                "each hypothesis needs its reference. "
                f"Received: {len(references)} references and {len(hypotheses)} hypotheses"
            )
        for reference, hypothesis in zip(references, hypotheses):
            self.check(reference, hypothesis)
        self.references += references
        self.hypotheses += hypotheses

    def check(self, reference, hypothesis):
        """Raises if a pair is not of the kind this metric reads."""
        if not isinstance(hypothesis, str):
            raise TypeError(f"a hypothesis must be a text. Received: {hypothesis!r}")
        if isinstance(reference, str):
            return
        if not self.several_references:
            raise TypeError(f"a reference must be a text. Received: {reference!r}")
        if not reference or not all(isinstance(text, str) for text in reference):
            raise TypeError(f"a reference must be a text or a list of texts. Received: {reference!r}")

    def result(self):
        """The figures of all pairs so far, by name.

        Raises:
            ValueError: if there are none.
        """
        if not self.hypotheses:
            raise ValueError(
                f"{type(self).__name__} has nothing to compare: call update first. Received: 0 pairs"
            )
        return {name: float(value) for name, value in self.compute().items()}

    def compute(self):
        raise NotImplementedError

    def reset(self):
        """Forgets all pairs."""
        self.references, self.hypotheses = [], []

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def alternatives(reference):
    """A reference as the list of texts any of which will do."""
    return [reference] if isinstance(reference, str) else list(reference)
