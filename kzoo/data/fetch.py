"""Finds the files of a data set, downloads the missing ones, and refuses those that are not as published.

A file is looked for in `$KZOO_DATA_DIR/<folder>/<name>`, which is only ever read, then in the cache
(`$XDG_CACHE_HOME/kzoo/data` or `~/.cache/kzoo/data`), and is otherwise downloaded into the cache. It is
written aside, checked, and only then given its name: a file under its final name is whole.
"""

import gzip
import hashlib
import http.client
import os
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from kzoo.files import check_writable, replacing

TIMEOUT = 30  # seconds without a byte
CHUNK = 1 << 18


@dataclass(frozen=True)
class File:
    """A published file: where it is, and how its content is known to be right.

    Attributes:
        folder: its folder below the data directory and the cache.
        name: its name there and at the end of every URL.
        digest: `"sha256:…"` or `"md5:…"` of its content; its beginning suffices.
        size: bytes of its content, if known.
        bases: the URLs it may be found under, tried in turn; without any it is never downloaded.
        packed: whether the content is what the gzip file holds, not the file itself. Repacking changes the
            bytes of a gzip file and not its content.
    """

    folder: str
    name: str
    digest: str
    size: int | None
    bases: tuple = ()
    packed: bool = False


def cache_directory():
    """The folder that downloads go to."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "kzoo", "data")


def data_directory():
    """The folder named by `KZOO_DATA_DIR`, or `None`.

    Raises:
        FileNotFoundError: if the variable names something that is not a folder.
    """
    if not (named := os.environ.get("KZOO_DATA_DIR")):
        return None
    if not Path(named).is_dir():
        raise FileNotFoundError(f"KZOO_DATA_DIR must name a folder. Received: KZOO_DATA_DIR={named!r}")
    return Path(named)


def find(file):
    """The path of a file that is already here, unchecked, or `None`."""
    for directory in filter(None, (data_directory(), cache_directory())):
        if (path := directory / file.folder / file.name).is_file():
            return path
    return None


def fetch(file):
    """The path of a file, downloaded if it is not here; its content is checked either way.

    Raises:
        ValueError: if the file here is truncated or altered.
        ConnectionError: if it is not here and no source gave it, whole.
    """
    if (path := find(file)) is not None:
        verify(path, file)
        return path
    return download(file)


def read(file):
    """The checked content of a file as bytes, unpacked if it is `packed`."""
    path = find(file) or download(file)
    return verify(path, file, keep=True)


def verify(path, file, keep=False):
    """Checks the size and the digest of a file's content, and returns the content if it is to be kept.

    Raises:
        ValueError: if either differs. The message says what to do.
    """
    algorithm, expected = file.digest.split(":")
    digest, size, parts, broken = hashlib.new(algorithm, usedforsecurity=False), 0, [], None
    with gzip.open(path) if file.packed else open(path, "rb") as stream:
        try:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if keep:
                    parts.append(chunk)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            broken = error
    received = digest.hexdigest()
    fits = received.startswith(expected) and file.size in (None, size)
    if broken is None and fits:
        return b"".join(parts)
    what = (
        "truncated" if size < (file.size or 0) else "truncated or altered" if file.size is None else "altered"
    )
    of = "unpacked content" if file.packed else "content"
    reason = f" ({broken})" if broken else ""
    known = "" if file.size is None else f"{file.size:,} bytes and "
    raise ValueError(
        f"the file {path} is {what}{reason}: its {of} should have {known}"
        f"{algorithm} {expected}. Delete it and run again. Received: {size:,} bytes, {algorithm} {received}"
    )


def download(file):
    """Downloads a file into the cache from the first source that gives it whole, and returns its path."""
    target = cache_directory() / file.folder / file.name
    if not file.bases:
        raise FileNotFoundError(
            f"{file.folder}/{file.name} has no public source: set KZOO_DATA_DIR to a data folder that "
            f"holds it. Received: KZOO_DATA_DIR={os.environ.get('KZOO_DATA_DIR')!r}"
        )
    try:
        check_writable(target.parent)
    except OSError as error:
        raise OSError(f"the cache cannot be used: {error}. XDG_CACHE_HOME can name another folder") from error
    failures = []
    with replacing(target) as aside:
        for base in file.bases:
            url = f"{base.rstrip('/')}/{file.name}"
            try:
                _transfer(url, aside)
                verify(aside, file)
                break
            except (OSError, http.client.HTTPException, ValueError) as error:
                failures.append(f"{url}: {_reason(error, aside)}")
        else:
            raise ConnectionError(
                f"{file.name} could not be downloaded, and nothing of it was kept. Run again, or put it "
                f"into {target.parent} or $KZOO_DATA_DIR/{file.folder}. Received: {'; '.join(failures)}"
            )
    return target


def _transfer(url, path):
    """Writes what a URL answers to a file, showing progress on standard error."""
    request = urllib.request.Request(url, headers={"User-Agent": "kzoo"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, open(path, "wb") as out:
        announced = answer.headers.get("Content-Length")
        total, received = (int(announced) if announced else None), 0
        with _progress() as progress:
            task = progress.add_task(url.rsplit("/", 1)[1], total=total)
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                received += len(chunk)
                progress.update(task, advance=len(chunk))
    if total is not None and received != total:  # read(n) does not tell a closed connection from the end
        raise ConnectionError(f"the download is truncated: {received:,} of {total:,} bytes came")


def _progress():
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def _reason(error, aside):
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error).replace(str(aside), "as received").replace(" Delete it and run again.", "")
