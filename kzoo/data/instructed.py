"""Instructions as a language model reads them: a prompt, the answer, and a loss on the answer alone.

Shapes: n length.
"""

import numpy as np

from kzoo.data.sequences import IGNORED


def prompt_of(example):
    """What the model is given: the instruction under a heading, its input if it has one, and the answer's heading.

    The headings are those of Stanford's Alpaca (Taori et al. 2023), without the sentence before them.

    Args:
        example: a `kzoo.data.instructions.Instruction`.
    """
    given = f"\n\n### Input:\n{example.input}" if example.input else ""
    return f"### Instruction:\n{example.instruction}{given}\n\n### Response:\n"


def instructed(tokens, examples, length, end, *, masked=True):
    """Prompts with their answers, each place with what follows it: two lists of int32 `(n,)`.

    Args:
        tokens: a vocabulary, whose numbers of a prompt followed by those of an answer are what a model is given.
        examples: instances of `Instruction`.
        length: n at most; longer ones lose their end.
        end: the number that ends an answer.
        masked: whether only the answer's numbers and its end are labels, and `IGNORED` stands for what the prompt
            says; otherwise the prompt is learnt too.

    Returns:
        What is read and what is to be foretold. Examples whose prompt leaves no room for an answer are left out.

    Raises:
        ValueError: if none is left.
    """
    x, y = [], []
    for example in examples:
        prompt = tokens.encode(prompt_of(example))
        row = np.concatenate([prompt, tokens.encode(example.output), [end]])[: length + 1].astype("int32")
        if len(row) <= len(prompt):
            continue
        following = row[1:].copy()
        if masked:
            following[: len(prompt) - 1] = IGNORED
        x.append(row[:-1])
        y.append(following)
    if not x:
        raise ValueError(
            f"no prompt leaves room for its answer: give a larger length. Received: length={length}"
        )
    return x, y
