"""Where an export works, and how what it made gets its name: all of it, or nothing, whenever it is killed."""

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

PREFIX = ".export-"
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # Linux; <fcntl.h>, <linux/fs.h>


@contextlib.contextmanager
def staging(directory):
    """Gives a hidden folder inside `directory`, from which moving out is a rename; it is removed at the end.

    Folders that killed processes left there are removed first.
    """
    clean(directory)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=directory))
    try:
        with open(folder / "lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clean(directory):
    """Removes the folders of exports whose process is gone.

    The lock is looked at as well as the process number: another container numbers its processes anew.
    """
    for folder in Path(directory).glob(f"{PREFIX}*"):
        match = re.match(rf"{re.escape(PREFIX)}(\d+)-", folder.name)
        if match and not _alive(int(match[1])) and not _locked(folder / "lock"):
            shutil.rmtree(folder, ignore_errors=True)


def replace(staged, final, aside):
    """Moves a file or directory to its final name; whoever looks finds the previous one or this one, whole.

    A directory changes places with the previous one in one step where the system can (Linux, and macOS on
    APFS). Elsewhere there is a moment between two renames at which the name is free.

    Args:
        staged: what was made, in the same file system.
        final: its name.
        aside: an unused name in the same file system, for what was there before.
    """
    staged, final, aside = Path(staged), Path(final), Path(aside)
    if final.is_dir() and not final.is_symlink():
        if _exchange(staged, final):
            staged.rename(aside)
            return
        final.rename(aside)
        try:
            staged.rename(final)
        except OSError:
            aside.rename(final)
            raise
    else:
        if staged.is_dir() and final.exists():
            final.rename(aside)  # a file or link in the way of a directory
        os.replace(staged, final)


def _exchange(one, other):
    """Lets two names change places in one step; `False` where the system cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        failed = library.renamex_np(*names, ctypes.c_uint(RENAME_EXCHANGE))
    elif hasattr(library, "renameat2"):
        failed = library.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], ctypes.c_uint(RENAME_EXCHANGE))
    else:
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
        return False
    raise OSError(code, os.strerror(code), str(other))


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _locked(path):
    try:
        with open(path, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
