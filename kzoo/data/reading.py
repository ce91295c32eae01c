"""Text files: read whole, or line by line in bounded memory; what is not UTF-8 is an error that says where."""

import dataclasses
from pathlib import Path

from kzoo.data import fetch

LONGEST = 1 << 20  # bytes in a line
MARK = "\ufeff"  # some editors begin a file with it


def read_text(path):
    """A UTF-8 file as one text, its lines ended by `\\n` however they were.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is empty, or not UTF-8. The message gives the first wrong byte and its place.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no such text file. Received: {str(path)!r}")
    text = decoded(path.read_bytes(), path).removeprefix(MARK)
    if not text:
        raise ValueError(f"the file {path} is empty: there must be some text in it. Received: 0 bytes")
    return text


def read_lines(path, longest=LONGEST):
    """The lines of a UTF-8 file one after another, without their ends; no more than one line is in memory.

    Args:
        path: the file.
        longest: bytes that a line may have: a file without line ends is told from one with many.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: at a longer line, or one that is not UTF-8.
    """
    path, offset = Path(path), 0
    if not path.is_file():
        raise FileNotFoundError(f"there is no such text file. Received: {str(path)!r}")
    with open(path, "rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(longest + 2), b""), 1):
            if len(line.rstrip(b"\r\n")) > longest:
                raise ValueError(
                    f"line {number:,} of {path} is longer than {longest:,} bytes: part it, or allow it with a larger "
                    f"`longest`. Received: longest={longest}"
                )
            text = decoded(line, path, offset).rstrip("\n")
            yield text.removeprefix(MARK) if number == 1 else text
            offset += len(line)


def decoded(content, name, offset=0):
    """UTF-8 bytes as text with `\\n` at the ends of lines; `name` and `offset` say in errors whose they are.

    Raises:
        ValueError: if they are not UTF-8.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        place = offset + error.start
        raise ValueError(
            f"{name} is not UTF-8: {error.reason} at byte {place:,}. Convert it to UTF-8 first. Received: byte "
            f"0x{content[error.start]:02x}"
        ) from error
    return text.replace("\r\n", "\n")


def published(file):
    """The checked content of a published file, which may lie here packed by gzip under its name and `.gz`."""
    packed = dataclasses.replace(file, name=f"{file.name}.gz", bases=(), packed=True)
    here = fetch.find(file) is None and fetch.find(packed) is not None
    return fetch.read(packed if here else file)


def published_text(file):
    """The same as text."""
    return decoded(published(file), f"{file.folder}/{file.name}")


def github(repository, commit, folder=""):
    """The address of a folder's files at one commit of a repository on GitHub."""
    return f"https://raw.githubusercontent.com/{repository}/{commit}/{folder}".rstrip("/")
