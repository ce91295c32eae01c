"""`load_text`: any published text set by name. Each kind of text has a small class of its own."""

import inspect

from kzoo.data import corpora, entities, instructions, pairs, questions, text, words
from kzoo.engine import unknown

TABLE = {
    name: entry
    for module in (corpora, text, pairs, entities, questions, instructions, words)
    for name, entry in module.TABLE.items()
}


def load_text(name, **options):
    """Loads a text set by name.

    ```python
    reviews = kzoo.data.load_text("sst2")  # TextData: texts and classes in three parts
    play = kzoo.data.load_text("tinyshakespeare")  # Corpus: running text
    captions = kzoo.data.load_text("multi30k", languages=("en", "de"))  # PairData
    ```

    Args:
        name: a name that `list_texts` gives.
        **options: those of the set: `validation` of running text, `seed` of parts that were not published, `languages`
            of multi30k, `held_out` of tatoeba.

    Returns:
        A `Corpus`, `TextData`, `PairData`, `EntityData`, `QuestionData`, `InstructionData`, `WordPairs` or `Analogies`.

    Raises:
        ValueError: if the name or an option is unknown, or a file is not as published.
        ConnectionError: if a file is missing here and cannot be downloaded.
        FileNotFoundError: if it is missing and has no public source.
    """
    if name not in TABLE:
        raise unknown("text set", name, TABLE)
    load = TABLE[name]["load"]
    known = inspect.signature(load).parameters
    for option in options:
        if option not in known:
            raise ValueError(
                f"the options of {name} are: {', '.join(known) or 'none'}. Received: {option}={options[option]!r}"
            )
    return load(**options)


def list_texts():
    """The names of the text sets with one line on each, and their terms."""
    return {name: f"{entry['line']} ({entry['licence']})" for name, entry in TABLE.items()}
