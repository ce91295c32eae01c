"""Where models lie on disk, and which of their versions are wanted: folders, and TensorFlow Serving's configuration."""

import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from kzoo.serve import protocol
from kzoo.serve.errors import invalid

_VERSION = re.compile(r"[0-9]{1,18}")
_NAME = re.compile(r"[^/:\\\x00-\x1f.][^/:\\\x00-\x1f]{0,254}")


@dataclass(frozen=True)
class Wanted:
    """A model that is to be served.

    Attributes:
        path: its folder, with a numbered folder per version.
        latest: how many of the newest versions, if neither `numbers` nor all are asked for.
        numbers: these versions, if any are named.
        everything: whether every version is wanted.
        labels: version by label.
    """

    path: Path
    latest: int = 1
    numbers: tuple = ()
    everything: bool = False
    labels: dict = field(default_factory=dict)

    def choose(self, there, load):
        """The versions to serve.

        Args:
            there: the versions that there are.
            load: a function of a version that loads it if need be and says whether it can be served.

        Returns:
            The chosen ones. Of the newest, those that cannot be loaded are passed over for older ones.
        """
        if self.numbers:
            return [number for number in sorted(self.numbers) if number in there and load(number)]
        if self.everything:
            return [number for number in sorted(there) if load(number)]
        chosen = []
        for number in sorted(there, reverse=True):
            if len(chosen) == self.latest:
                break
            if load(number):
                chosen.append(number)
        return chosen


def is_name(name):
    """Whether a model may be called so: nothing hidden, no part of a path, no colon."""
    return bool(_NAME.fullmatch(name))


def versions_in(folder):
    """Version to its directory, for the numbered folders with a SavedModel in them."""
    found = {}
    with contextlib.suppress(OSError):
        for entry in sorted(Path(folder).iterdir()):
            if _VERSION.fullmatch(entry.name) and (entry / "saved_model.pb").is_file():
                found.setdefault(int(entry.name), entry)
    return found


def discover(directory, missing_ok=False):
    """The models of a directory by name: it is one model's folder, or one with a folder per model.

    Raises:
        ValueError: if it is not there, or is a SavedModel itself.
    """
    directory = Path(directory)
    if not directory.is_dir():
        if missing_ok:
            return {}
        raise ValueError(f"the directory of the models does not exist. Received: {directory}")
    if (directory / "saved_model.pb").is_file():
        raise ValueError(
            f"this is a SavedModel: its place is in MODELS/{directory.name}/1, and MODELS is served. "
            f"`kzoo publish` does that. Received: {directory}"
        )
    if versions_in(directory):
        directory = directory.resolve()
        return {directory.name: Wanted(directory)}
    return {
        entry.name: Wanted(entry)
        for entry in sorted(directory.iterdir())
        if is_name(entry.name) and entry.is_dir() and versions_in(entry)
    }


def read_config(path):
    """The `ModelServerConfig` in a text file.

    Raises:
        ValueError: if the file is not one.
        OSError: if it cannot be read.
    """
    try:
        return parse_config(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{error}. Received: {path}") from error


def parse_config(text):
    """The `ModelServerConfig` that a text says."""
    from google.protobuf import text_format

    try:
        return text_format.Parse(text, protocol.model_server_config_pb2.ModelServerConfig())
    except text_format.ParseError as error:
        raise ValueError(f"this is not a ModelServerConfig ({error})") from error


def wanted_by(config, directory=None):
    """What a `ModelServerConfig` asks for, by name.

    A `base_path` that is not on this machine (it is a container's, say) is looked for as a folder of that model's
    name in `directory`.

    Raises:
        ServeError: if the configuration makes no sense.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid("only model_config_list is supported. Received: custom_model_config")
    wanted = {}
    for model in config.model_config_list.config:
        if not is_name(model.name):
            raise invalid(f"this is no name for a model. Received: {model.name!r}")
        if model.name in wanted:
            raise invalid(f"each model may be listed once. Received: {model.name!r} twice")
        if model.model_platform not in ("", "tensorflow"):
            raise invalid(f"model_platform must be 'tensorflow'. Received: {model.model_platform!r}")
        path = Path(model.base_path)
        if directory is not None and not path.is_dir():
            path = Path(directory) / model.name
        if not path.is_dir():
            raise invalid(f"the base_path of {model.name} does not exist. Received: {model.base_path!r}")
        wanted[model.name] = _of_policy(model, path)
    return wanted


def _of_policy(model, path):
    policy, labels = model.model_version_policy, dict(model.version_labels)
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return Wanted(path, everything=True, labels=labels)
    if choice == "specific":
        if not policy.specific.versions:
            raise invalid(f"the specific versions of {model.name} must be named. Received: none")
        return Wanted(path, numbers=tuple(policy.specific.versions), labels=labels)
    return Wanted(path, latest=max(1, policy.latest.num_versions), labels=labels)


def fingerprint(path):
    """What changes when a file, or any file of a folder, does."""
    path = Path(path)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    seen = []
    for file in files:
        with contextlib.suppress(OSError):
            status = file.stat()
            seen.append((str(file), status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(seen)
