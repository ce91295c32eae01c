"""Texts as an encoder such as BERT reads them: marked where they begin and end, in pairs, or word by word.

Each function leaves the vocabulary's tokenizer as it was. Shapes: n length.
"""

import contextlib
from dataclasses import dataclass

import numpy as np

from kzoo.data.sequences import IGNORED
from kzoo.data.tokens import PAD, UNKNOWN, Subwords
from kzoo.engine import require

BEGIN, END, MASK = "[CLS]", "[SEP]", "[MASK]"


def word_pieces(texts, vocabulary_size, lowercase=True):
    """A WordPiece vocabulary learnt from texts, whose texts begin with `[CLS]` and end with `[SEP]`, as BERT's."""
    tokens = Subwords.train(
        *(texts, "wordpiece", vocabulary_size),
        specials=(PAD, UNKNOWN, BEGIN, END, MASK),
        lowercase=lowercase,
    )
    processors = require("tokenizers.processors", "text")
    tokens.tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}",
        pair=f"{BEGIN} $A {END} $B:1 {END}:1",
        special_tokens=[(mark, tokens.id_of(mark)) for mark in (BEGIN, END)],
    )
    return tokens


@contextlib.contextmanager
def _cut(tokens, length, **options):
    """The library's tokenizer, which cuts texts to `length` pieces for as long as the block lasts."""
    if length < 3:
        raise ValueError(
            f"a text of marks alone says nothing: length must be above 2. Received: length={length}"
        )
    tokens.tokenizer.enable_truncation(length, **options)
    try:
        yield tokens.tokenizer
    finally:
        tokens.tokenizer.no_truncation()


def _ids(encoding):
    return np.asarray(encoding.ids, "int32")


def marked(tokens, texts, length):
    """Texts as numbers with both marks, a list of int32 `(n,)`; longer ones lose their end.

    Args:
        tokens: a `Subwords` of an encoder.
        texts: strings.
        length: n at most.
    """
    with _cut(tokens, length) as tokenizer:
        return [_ids(encoding) for encoding in tokenizer.encode_batch([str(text) for text in texts])]


def marked_words(tokens, sentences, length):
    """Sentences of words as numbers with both marks, and where each word begins.

    Args:
        tokens: a `Subwords` of an encoder.
        sentences: sequences of words.
        length: n at most.

    Returns:
        A list of int32 `(n,)`; and one of arrays of the places of the words' first pieces. There are fewer of them than
        words where a sentence was cut, or a word has no piece, such as a control character; then its place is -1.
    """
    with _cut(tokens, length) as tokenizer:
        encodings = tokenizer.encode_batch([list(words) for words in sentences], is_pretokenized=True)
    places = []
    for words, encoding in zip(sentences, encodings):
        first = np.full(len(words), -1)
        for place, word in reversed(list(enumerate(encoding.word_ids))):
            if word is not None:
                first[word] = place
        places.append(first)
    return [_ids(encoding) for encoding in encodings], places


def piece_labels(ids, places, labels):
    """Words' labels at their first pieces, and `IGNORED` elsewhere: a list of int32 `(n,)`."""
    spread = []
    for row, first, own in zip(ids, places, labels):
        made, own = np.full(len(row), IGNORED, "int32"), np.asarray(own)
        made[first[first >= 0]] = own[first >= 0]
        spread.append(made)
    return spread


@dataclass(frozen=True)
class Window:
    """A question and a part of the text that may answer it.

    Attributes:
        question: its number.
        ids, segments: int32 `(n,)`.
        begins, ends: the characters of the text that each piece begins at and ends before, `(n,)`; -1 for the question
            and marks.
    """

    question: int
    ids: np.ndarray
    segments: np.ndarray
    begins: np.ndarray
    ends: np.ndarray


def windows(tokens, questions, contexts, length, stride):
    """Questions, each with its text cut into windows that overlap by `stride` pieces: a list of `Window`.

    Args:
        tokens: a `Subwords` of an encoder.
        questions: strings.
        contexts: a text for each.
        length: n at most.
        stride: how many pieces two windows share, so that no answer is cut by both.

    Raises:
        ValueError: if a question leaves no room for its text.
    """
    found = []
    with _cut(tokens, length, stride=stride, strategy="only_second") as tokenizer:
        for number, pair in enumerate(zip(questions, contexts)):
            try:
                encoding = tokenizer.encode(*pair)
            except BaseException as error:  # the library panics, which is no Exception
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                raise ValueError(
                    f"a question must leave room for more than {stride} pieces of its text: give a larger length. "
                    f"Received: length={length}, question {number}: {pair[0]!r}"
                ) from error
            for one in (encoding, *encoding.overflowing):
                own = np.array([side == 1 for side in one.sequence_ids])
                spans = np.where(own[:, None], np.array(one.offsets), -1)
                kinds = np.asarray(one.type_ids, "int32")
                found.append(Window(number, _ids(one), kinds, *spans.T))
    return found


def span_of(window, start, text):
    """The first and last piece of an answer that begins at a character of the text; 0 and 0 if it is not all here."""
    begin = np.flatnonzero((window.begins <= start) & (start < window.ends))
    last = start + len(text)
    end = np.flatnonzero((window.begins < last) & (last <= window.ends) & (window.begins >= 0))
    return (int(begin[0]), int(end[-1])) if len(begin) and len(end) else (0, 0)


def best_answer(context, windows, starts, ends, longest=30):
    """The piece of a text that is the likeliest answer, and its share of the probability of all pieces.

    Devlin et al. (2018), section 4.2: the highest sum of the logits of a beginning and an end not before it.

    Args:
        context: the text.
        windows: those of one question.
        starts, ends: logits of each, at least `(n,)`.
        longest: pieces that an answer may have.
    """
    spans, scores = [], []
    for window, start, end in zip(windows, starts, ends):
        own = np.flatnonzero(window.begins >= 0)
        apart = own[None] - own[:, None]
        i, j = np.nonzero((apart >= 0) & (apart < longest))
        scores.append(np.asarray(start, "float64")[own[i]] + np.asarray(end, "float64")[own[j]])
        spans.append(np.stack([window.begins[own[i]], window.ends[own[j]]], axis=-1))
    spans, scores = np.concatenate(spans), np.concatenate(scores)
    best = int(scores.argmax())
    first, last = spans[best]
    return context[first:last], float(np.exp(scores[best] - np.logaddexp.reduce(scores)))
