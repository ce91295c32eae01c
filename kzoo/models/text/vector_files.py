"""Files of word vectors: word2vec's text and binary layouts, and GloVe's text, as those tools and gensim write them.

word2vec's begin with a line of two numbers, how many words and how many values each; GloVe's do not. In text each line
is a word and its values; in binary a word, a space and its values as little-endian float32, and a line end.
"""

import gzip
import itertools
from pathlib import Path

import numpy as np

from kzoo.engine import unknown
from kzoo.files import replacing

LAYOUTS = ("word2vec", "word2vec_binary", "glove")
LONGEST = 1 << 16  # bytes of a word: further there is no space to be found


def write(path, words, vectors, layout="word2vec"):
    """Writes words and vectors `(v, d)` in one of `LAYOUTS`; packed by gzip where the name ends in `.gz`.

    Raises:
        ValueError: for another layout, or a word with a space or line end in it.
    """
    if layout not in LAYOUTS:
        raise unknown("layout of word vectors", layout, LAYOUTS)
    for word in words:
        if not word or any(mark in word for mark in " \n\r"):
            raise ValueError(f"a word in a file has no spaces or line ends in it. Received: {word!r}")
    vectors = np.asarray(vectors, "<f4")
    with replacing(path) as aside, _opened(aside, "wb") as out:
        if layout != "glove":
            out.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for word, row in zip(words, vectors):
            if layout == "word2vec_binary":
                out.write(word.encode() + b" " + row.tobytes() + b"\n")
            else:
                out.write(
                    f"{word} {' '.join(map(str, row))}\n".encode()
                )  # the shortest digits that give it back


def read(path, layout=None, most=None):
    """Words, a tuple, and their vectors, float32 `(v, d)`.

    Args:
        path: the file.
        layout: one of `LAYOUTS`; by default binary if the name ends in `.bin`, else as the first line looks.
        most: how many words to read at most.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, has another layout, or is not UTF-8.
    """
    path = Path(path)
    if layout is not None and layout not in LAYOUTS:
        raise unknown("layout of word vectors", layout, LAYOUTS)
    if not path.is_file():
        raise FileNotFoundError(f"there is no such file of word vectors. Received: {str(path)!r}")
    if layout is None and path.name.removesuffix(".gz").endswith(".bin"):
        layout = "word2vec_binary"
    try:
        with _opened(path, "rb") as stream:
            if layout == "word2vec_binary":
                return _binary(stream, path, most)
            return _text(stream, path, layout, most)
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"the file {path} is truncated or is not gzip. Received: {error}") from error


def _opened(path, mode):
    return gzip.open(path, mode) if Path(path).suffix == ".gz" else open(path, mode)


def _header(line):
    """Two whole numbers above zero, or `None`."""
    parts = line.split()
    if len(parts) == 2 and all(part.isdigit() and int(part) > 0 for part in parts):
        return int(parts[0]), int(parts[1])
    return None


def _checked_header(line, path):
    sizes = _header(line)
    if sizes is None:
        raise ValueError(
            f"{path} does not begin as word2vec's files do, with how many words and how many values each: it may be "
            f"of another layout. Received: {line[:60]!r}"
        )
    return sizes


def _binary(stream, path, most):
    count, dim = _checked_header(stream.readline(200), path)
    wanted = count if most is None else min(count, most)
    words, rows, rest = [], [], b""
    for number in range(wanted):
        while (space := rest.find(b" ")) < 0 and len(rest) < LONGEST and (more := stream.read(1 << 16)):
            rest += more
        # word2vec ends each vector with a line end, gensim does not.
        word = rest[: max(space, 0)].lstrip(b"\n")
        end = space + 1 + 4 * dim
        while len(rest) < end and (more := stream.read(1 << 16)):
            rest += more
        if space < 0 or len(rest) < end:
            raise ValueError(
                f"the file {path} is truncated, or is not word2vec's binary layout: it ends in word {number + 1:,} of "
                f"{count:,}. Received: {number:,} whole vectors of {dim} values"
            )
        words.append(_decoded(word, f"word {number + 1:,} of {path}"))
        rows.append(np.frombuffer(rest[space + 1 : end], "<f4"))
        rest = rest[end:]
    if most is None and (rest + stream.read(1)).strip(b"\n"):
        raise ValueError(
            f"{path} goes on after its {count:,} words. Received: more bytes than its first line says"
        )
    return tuple(words), np.array(rows, "float32")


def _text(stream, path, layout, most):
    first = stream.readline()
    sizes = _checked_header(first, path) if layout == "word2vec" else _header(first)
    if sizes is not None and layout != "glove":
        (count, dim), lines, begin = sizes, stream, 2
    else:
        count, dim, lines, begin = None, len(first.split()) - 1, itertools.chain([first], stream), 1
        if dim < 1:
            raise ValueError(
                f"{path} has no word vectors: a line is a word and its values. Received: {first[:60]!r}"
            )
    words, rows = [], []
    for number, line in enumerate(lines, begin):
        if most is not None and len(words) == most:
            return tuple(words), np.array(rows, "float32")
        if count is not None and len(words) == count:
            if line.strip():
                raise ValueError(
                    f"{path} goes on after its {count:,} words. Received: line {number:,}, {line[:60]!r}"
                )
            continue
        word, row = _parsed(line, dim, path, number)
        words.append(word)
        rows.append(row)
    if count is not None and len(words) < min(count, count if most is None else most):
        raise ValueError(
            f"the file {path} is truncated: its first line says {count:,} words. Received: {len(words):,} of them"
        )
    return tuple(words), np.array(rows, "float32").reshape(-1, dim)


def _parsed(line, dim, path, number):
    # From the right: a few words in GloVe's files have spaces in them.
    parts = _decoded(line, f"line {number:,} of {path}").rstrip().rsplit(" ", dim)
    try:
        if len(parts) != dim + 1:
            raise ValueError(f"{len(parts) - 1} values")
        return parts[0], np.array(parts[1:], "float32")
    except ValueError as error:
        raise ValueError(
            f"line {number:,} of {path} must be a word and {dim} numbers: the file is truncated or of another layout. "
            f"Received: {error}"
        ) from None


def _decoded(content, what):
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{what} is not UTF-8: {error.reason}. Received: byte 0x{content[error.start]:02x} at {error.start:,} of it"
        ) from error
