"""Text as numbers: a vocabulary of characters, or of pieces of words by the library `tokenizers`.

```python
letters = Characters.of(text)            # or: Subwords.train(lines, "bpe", vocabulary_size=8000)
ids = letters.encode("to be")            # int32 (n,)
letters.decode(ids)                      # "to be"
letters.save(run.path("tokenizer.json")) # load_tokens reads either kind
```
"""

import json
from pathlib import Path

import numpy as np

from kzoo.data import wordpiece
from kzoo.engine import require, unknown
from kzoo.files import replacing, write_json

KINDS = ("bpe", "wordpiece", "words")
PAD, UNKNOWN = "[PAD]", "[UNK]"
PIECE = 1 << 20  # characters encoded at once, which bounds the memory beside that of the numbers
LONGEST = 1 << 22  # characters of a text for `tokenizers`, which keeps hundreds of bytes for each piece
WORD = r"\w+(?:['’]\w+)*|[^\w\s]"  # a word with the apostrophes in it, or a mark


class Characters:
    """A vocabulary of single characters.

    Args:
        symbols: the characters in the order of their numbers, each once.
        unknown: the one of them that stands for any other; without it another character is an error.

    Raises:
        ValueError: if there is none, one comes twice or is longer, or `unknown` is not among them.
    """

    def __init__(self, symbols, unknown=None):
        symbols = tuple(symbols)
        if not symbols or len(set(symbols)) < len(symbols) or any(len(symbol) != 1 for symbol in symbols):
            raise ValueError(
                f"the symbols must be single characters, each once, and at least one. Received: {symbols!r}"
            )
        if unknown is not None and unknown not in symbols:
            raise ValueError(f"unknown must be one of the symbols. Received: unknown={unknown!r}")
        self.symbols, self.unknown = symbols, unknown
        codes = [ord(symbol) for symbol in symbols]
        self._ids = np.full(max(codes) + 2, -1, "int32")  # by code point; the last is that of all higher ones
        self._ids[codes] = np.arange(len(symbols))

    @classmethod
    def of(cls, text, unknown=None):
        """The characters of a text in the order of their code points, and `unknown` among them."""
        return cls(sorted({*text, *([] if unknown is None else [unknown])}), unknown)

    @property
    def vocabulary_size(self):
        """How many symbols there are."""
        return len(self.symbols)

    def encode(self, text):
        """The numbers of a text's characters, int32 `(n,)`.

        Raises:
            ValueError: for characters outside the vocabulary: which, and where each stands first.
        """
        ids = np.empty(len(text), "int32")
        for start in range(0, len(text), PIECE):
            ids[start : start + PIECE] = self._encode(text[start : start + PIECE])
        wrong = np.flatnonzero(ids < 0)
        if len(wrong):
            if self.unknown is None:
                self._refuse(text, wrong)
            ids[wrong] = self.symbols.index(self.unknown)
        return ids

    def _encode(self, text):
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        return self._ids[np.minimum(codes, len(self._ids) - 1)]

    def _refuse(self, text, wrong):
        first = {}
        for place in wrong.tolist():
            first.setdefault(text[place], place)
        named = ", ".join(f"{symbol!r} at {place:,}" for symbol, place in list(first.items())[:5])
        more = f" and {len(first) - 5} more" if len(first) > 5 else ""
        raise ValueError(
            f"the text has characters outside the vocabulary of {self.vocabulary_size}: {named}{more}. Make the "
            f"vocabulary from this text too, or give it a symbol for unknown ones. Received: a text of {len(text):,} "
            f"characters, {len(wrong):,} of them unknown"
        )

    def decode(self, ids):
        """The text of some numbers.

        Raises:
            ValueError: for a number outside the vocabulary.
        """
        return "".join(self.symbols[i] for i in _within(ids, self.vocabulary_size))

    def save(self, path):
        """Writes the vocabulary as JSON."""
        write_json(path, {"kind": "characters", "symbols": "".join(self.symbols), "unknown": self.unknown})


class Subwords:
    """A vocabulary of words or pieces of words: a thin cover over a `tokenizers.Tokenizer`.

    Args:
        tokenizer: a `tokenizers.Tokenizer`. `train` makes one from texts, `load` reads a `tokenizer.json`.
    """

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    @classmethod
    def train(
        cls, texts, kind="bpe", vocabulary_size=8000, *, specials=(PAD, UNKNOWN), lowercase=False, minimum=1
    ):
        """Learns a vocabulary from texts.

        Args:
            texts: an iterable of strings, such as `read_lines` gives; they are not all held in memory.
            kind: `"bpe"`, byte pairs as GPT-2's (Sennrich et al. 2016, arXiv:1508.07909), in which every text can be
                written; `"wordpiece"`, as BERT's; `"words"`, the most frequent words and punctuation marks.
            vocabulary_size: at most so many entries, special ones included.
            specials: entries with a meaning of their own, numbered from 0 in this order.
            lowercase: whether to turn texts into lower case.
            minimum: how often a word must come, or a pair of pieces to be joined.

        Raises:
            ValueError: for an unknown kind, a special entry that is missing, or no text.
        """
        if kind not in KINDS:
            raise unknown("kind of vocabulary", kind, KINDS)
        if kind != "bpe" and UNKNOWN not in specials:
            raise ValueError(
                f"a vocabulary of {kind} needs {UNKNOWN!r} for what is not in it. Received: specials={specials!r}"
            )
        if vocabulary_size <= len(specials) + 256 * (kind == "bpe"):
            raise ValueError(
                "the vocabulary must have room for more than its special entries, and bytes for byte pairs. "
                f"Received: vocabulary_size={vocabulary_size}, specials={specials!r}"
            )
        tokenizer, trainer = _untrained(kind, vocabulary_size, list(specials), lowercase, minimum)
        seen = 0

        def counted():
            nonlocal seen
            for text in texts:
                seen += bool(text.strip())
                yield text

        if trainer is None:
            options = dict(vocab_size=vocabulary_size, min_frequency=minimum, show_progress=False)
            tokenizer = wordpiece.learn(tokenizer, counted(), specials, options)
        else:
            tokenizer.train_from_iterator(counted(), trainer)
        if not seen:
            raise ValueError("there must be some text to learn a vocabulary from. Received: none")
        return cls(tokenizer)

    @classmethod
    def load(cls, path):
        """Reads a `tokenizer.json`.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not one.
        """
        return cls._parsed(_read(path), path)

    @classmethod
    def _parsed(cls, text, path):
        try:
            return cls(require("tokenizers", "text").Tokenizer.from_str(text))
        except ImportError:
            raise
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(
                f"{path} is not a tokenizer of the library tokenizers. Received: {error}"
            ) from error

    @property
    def vocabulary_size(self):
        """How many entries there are, special ones included."""
        return self.tokenizer.get_vocab_size(with_added_tokens=True)

    @property
    def symbols(self):
        """The entries in the order of their numbers."""
        entries = self.tokenizer.get_vocab(with_added_tokens=True)
        return tuple(sorted(entries, key=entries.get))

    def id_of(self, token):
        """The number of an entry.

        Raises:
            ValueError: if it is not in the vocabulary.
        """
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"the vocabulary must have the entry. Received: {token!r}")
        return found

    def encode(self, text):
        """The numbers of a text's pieces, int32 `(n,)`; none for an empty text.

        Raises:
            ValueError: if it is longer than `LONGEST`.
        """
        _check_length(text)
        return np.asarray(self.tokenizer.encode(text).ids, "int32")

    def encode_all(self, texts):
        """The same for many texts at once, a list: the library works on all cores."""
        texts = list(texts)
        for text in texts:
            _check_length(text)
        return [np.asarray(encoding.ids, "int32") for encoding in self.tokenizer.encode_batch(texts)]

    def decode(self, ids):
        """The text of some numbers, without the special entries.

        Raises:
            ValueError: for a number outside the vocabulary.
        """
        return self.tokenizer.decode(_within(ids, self.vocabulary_size))

    def save(self, path):
        """Writes a `tokenizer.json`."""
        with replacing(path) as aside:
            self.tokenizer.save(str(aside))


def _untrained(kind, vocabulary_size, specials, lowercase, minimum):
    """An empty tokenizer of one kind, and its trainer; of WordPiece without."""
    lib = require("tokenizers", "text")
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

    options = dict(vocab_size=vocabulary_size, special_tokens=specials, show_progress=False)
    options["min_frequency"] = minimum
    if kind == "bpe":
        tokenizer = lib.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(initial_alphabet=alphabet, **options)
    elif kind == "wordpiece":
        tokenizer = lib.Tokenizer(models.WordPiece(unk_token=UNKNOWN))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = None
    else:
        tokenizer = lib.Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(lib.Regex(WORD), "removed", invert=True)
        trainer = trainers.WordLevelTrainer(**options)
    if lowercase and kind != "wordpiece":
        tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer, trainer


def load_tokens(path):
    """What `save` of either class wrote: a `Characters` or a `Subwords`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is neither.
    """
    text = _read(path)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} is truncated or is not JSON. Received: {error}") from error
    if isinstance(content, dict) and content.get("kind") == "characters":
        return Characters(content["symbols"], content["unknown"])
    return Subwords._parsed(text, path)


def check_vocabulary(tokens, model, *, padded=False):
    """Raises unless a model was made for this vocabulary: its embedding has a row for each entry, and no others.

    Args:
        tokens: a `Characters` or `Subwords`, or anything with a `vocabulary_size`.
        model: a functional Keras model that begins with an `Embedding`.
        padded: whether the embedding may have more rows, as some are made for speed.

    Raises:
        ValueError: if it was not.
    """
    import keras

    from kzoo.models.nodes import nodes_of

    inputs = {id(tensor) for tensor in model.inputs}
    rows = [
        node.operation.input_dim
        for node in nodes_of(model)
        if isinstance(node.operation, keras.layers.Embedding)
        and any(id(tensor) in inputs for tensor in node.input_tensors)
    ]
    if not rows:
        raise ValueError(
            "no input of the model goes into an Embedding, so that its vocabulary is not known. "
            f"Received: model={model.name!r}"
        )
    if rows[0] < tokens.vocabulary_size or (rows[0] > tokens.vocabulary_size and not padded):
        raise ValueError(
            "the tokenizer and the model belong to different vocabularies: load the tokenizer that was saved beside "
            f"the model. Received: {tokens.vocabulary_size:,} entries and an embedding of {rows[0]:,} rows in "
            f"{model.name!r}"
        )


def _read(path):
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no such tokenizer file. Received: {str(path)!r}")
    return Path(path).read_text(encoding="utf-8")


def _check_length(text):
    if len(text) > LONGEST:
        raise ValueError(
            f"a text to encode may have {LONGEST:,} characters: encode it in pieces, such as its lines or paragraphs. "
            f"Received: {len(text):,} characters"
        )


def _within(ids, size):
    ids = np.asarray(ids).reshape(-1)
    wrong = ids[(ids < 0) | (ids >= size)]
    if len(wrong):
        raise ValueError(
            f"numbers of a vocabulary of {size:,} lie from 0 to {size - 1:,}. Received: {wrong[0]}"
        )
    return ids.tolist()
