"""Files that are whole or not there: written aside, then renamed."""

import contextlib
import json
import os
import tempfile
from pathlib import Path


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary path beside `path`, with its suffix, that takes its name if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(prefix=f".{path.stem}-", suffix="".join(path.suffixes), dir=path.parent)
    os.close(handle)
    aside = Path(aside)
    try:
        yield aside
        aside.chmod(0o644)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path, content):
    """Writes JSON for people to read, whole or not at all."""
    with replacing(path) as aside:
        aside.write_text(json.dumps(content, indent=2, sort_keys=False) + "\n")


def check_writable(folder):
    """Makes the folder; raises an `OSError` that names it if nothing can be written there."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"cannot write into the folder {folder}: {error.strerror or error}") from error
    return folder
