"""Which versions of which models are served: found on disk, loaded, swapped without dropping a request, retired.

A new version is loaded and warmed up in full before the first request reaches it; the one that it replaces goes
when its last request is answered. What cannot be loaded is reported and left alone until its files change. What
has been loaded stays, whatever happens to its directory.
"""

import contextlib
import gc
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from kzoo.serve.errors import ServeError, invalid
from kzoo.serve.loading import Version
from kzoo.serve.policy import Wanted, discover, fingerprint, read_config, versions_in, wanted_by

START, LOADING, AVAILABLE, UNLOADING, END = "START", "LOADING", "AVAILABLE", "UNLOADING", "END"


@dataclass
class _Slot:
    """One version, from when it is found until after it is gone."""

    number: int
    path: Path
    state: str = START
    code: str = "OK"
    message: str = ""
    fingerprint: object = None  # of the files that could not be loaded
    version: Version | None = None
    in_flight: int = 0


@dataclass
class _Model:
    wanted: Wanted
    slots: dict = field(default_factory=dict)

    def loaded(self):
        """The versions that take requests, by number."""
        return {number: slot for number, slot in self.slots.items() if slot.state == AVAILABLE}


class Models:
    """The models of a directory, or of a configuration.

    Args:
        directory: a folder with `NAME/VERSION/saved_model.pb`, or one model's own folder with its versions;
            `None` if the configuration says where everything is.
        config: a text file with TensorFlow Serving's `ModelServerConfig`: models, version policies, labels. It is
            read again when it changes.
        poll_seconds: how often to look for new versions.
        load: a function of name, version and path that gives a `Version`.
        log: a function of an event's name and of what is known about it.

    Raises:
        ValueError: if the directory or the configuration is not there or makes no sense.
    """

    def __init__(self, directory=None, config=None, poll_seconds=1.0, load=Version, log=None):
        self._directory = None if directory is None else Path(directory)
        self._config = None if config is None else Path(config)
        self._poll_seconds = poll_seconds
        self._load, self._log = load, log or (lambda event, **known: None)
        self._models = {}
        self._changed = threading.Condition()  # guards all of the above and wakes whoever waits for a change
        self._scanning = threading.Lock()  # one scan at a time
        self._stopping = threading.Event()
        self._awake = threading.Event()
        self._thread = None
        self._seen = None  # of the configuration file
        self._given = None if config is None else self._read_config()
        if self._given is None:
            discover(self._directory)  # raises if this is no place for models

    def start(self):
        """Loads what is there, then goes on looking in a thread of its own."""
        self.scan()
        self._thread = threading.Thread(target=self._watch, name="kzoo-models", daemon=True)
        self._thread.start()

    def stop(self):
        """Stops looking and unloads everything."""
        self._stopping.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join()
        with self._changed:
            versions = [s.version for m in self._models.values() for s in m.slots.values() if s.version]
            self._models = {}
        for version in versions:
            version.close()

    @property
    def in_flight(self):
        """How many requests are using a version just now."""
        with self._changed:
            return sum(slot.in_flight for model in self._models.values() for slot in model.slots.values())

    @contextlib.contextmanager
    def use(self, name, version=None, label=None):
        """A `Version` that stays loaded for as long as the block runs.

        Raises:
            ServeError: NOT_FOUND if there is no such model or version, INVALID_ARGUMENT for an unknown label.
        """
        with self._changed:
            slot = self._find(name, version, label)
            slot.in_flight += 1
        try:
            yield slot.version
        finally:
            with self._changed:
                slot.in_flight -= 1
                if slot.state == UNLOADING and not slot.in_flight:
                    self._awake.set()

    def names(self):
        """The names of the models, in order."""
        with self._changed:
            return sorted(self._models)

    def labels(self, name):
        """Label to version, of a model."""
        with self._changed:
            model = self._models.get(name)
            return dict(model.wanted.labels) if model else {}

    def available(self, name):
        """The numbers of the versions of a model that take requests, in order."""
        with self._changed:
            model = self._models.get(name)
            return sorted(model.loaded()) if model else []

    @property
    def ready(self):
        """Whether there is a model, and every model has a version that takes requests."""
        with self._changed:
            return bool(self._models) and all(model.loaded() for model in self._models.values())

    def status(self, name, version=None, label=None):
        """The versions of a model with state, code and message, the newest first.

        Raises:
            ServeError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label.
        """
        if not name:
            raise invalid("Missing model name in request. Received: ''")
        with self._changed:
            model = self._models.get(name)
            if model is None or not model.slots:
                raise ServeError("NOT_FOUND", f"Could not find any versions of model {name}")
            if label is not None:
                version = self._labelled(model, label)
            if version is not None and version not in model.slots:
                raise ServeError("NOT_FOUND", f"Could not find version {version} of model {name}")
            numbers = sorted(model.slots, reverse=True) if version is None else [version]
            slots = [model.slots[number] for number in numbers]
            return [(slot.number, slot.state, slot.code, slot.message) for slot in slots]

    def reload(self, config):
        """Serves what a `ModelServerConfig` message says from now on; returns when it does.

        Raises:
            ServeError: if the configuration makes no sense, or a model, version or label of it cannot be served.
        """
        wanted = wanted_by(config, self._directory)
        with self._changed:
            self._given = wanted
        self.scan()
        with self._changed:
            for name, want in wanted.items():
                self._check_served(name, want)

    def scan(self):
        """Looks once: finds models and versions, loads and retires."""
        with self._scanning:
            wanted = self._wanted()
            with self._changed:
                for name, want in wanted.items():
                    self._models.setdefault(name, _Model(want)).wanted = want
                configured = self._given is not None  # a folder that vanishes is no order to stop serving
                gone = [name for name in self._models if configured and name not in wanted]
                models = dict(self._models)
            for name, model in models.items():
                self._bring_up(name, model, retire_all=name in gone)
            self._unload()

    def _watch(self):
        while not self._stopping.is_set():
            self._awake.wait(self._poll_seconds)
            self._awake.clear()
            if self._stopping.is_set():
                return
            try:
                self.scan()
            except Exception as error:  # a folder that cannot be read must not end the watch
                self._log("scan_failed", level="error", message=str(error))

    def _wanted(self):
        if self._config is not None:
            try:
                config = self._read_config()
            except (ValueError, OSError) as error:
                self._log("config_refused", level="error", message=str(error))
            else:
                if config is not None:
                    with self._changed:
                        self._given = config
        return self._given if self._given is not None else discover(self._directory, missing_ok=True)

    def _read_config(self):
        """What the configuration file asks for, or `None` if it has not changed."""
        seen = fingerprint(self._config)
        if seen == self._seen:
            return None
        self._seen = seen
        return wanted_by(read_config(self._config), self._directory)

    def _bring_up(self, name, model, retire_all=False):
        """Loads the versions of a model that are wanted and not there, then retires those no longer wanted."""
        found = {} if retire_all else versions_in(model.wanted.path)
        with self._changed:
            kept = {number: slot.path for number, slot in model.loaded().items()}
            for number, slot in list(model.slots.items()):
                # What is broken and has been taken away, or was unloaded, need not be reported for ever.
                if slot.state == END and number not in found:
                    del model.slots[number]
        chosen = (
            [] if retire_all else model.wanted.choose({**kept, **found}, self._loader(name, model, found))
        )
        with self._changed:
            for number, slot in model.loaded().items():
                if retire_all or (chosen and number not in chosen):
                    slot.state = UNLOADING
                    self._log("unloading", model=name, version=number)
            if retire_all and not model.slots:
                del self._models[name]
            self._changed.notify_all()

    def _loader(self, name, model, found):
        def load(number):
            """Whether that version takes requests, after an attempt to load it."""
            with self._changed:
                slot = model.slots.get(number)
                if slot is not None and slot.state == AVAILABLE:
                    return True
                if number not in found or (slot is not None and slot.state == UNLOADING):
                    return False
                path = found[number]
                seen = fingerprint(path)
                if slot is not None and slot.fingerprint == seen:
                    return False  # as broken as it was
                slot = model.slots[number] = _Slot(number, path, LOADING)
            return self._load_into(slot, name, seen)

        return load

    def _load_into(self, slot, name, seen):
        started = time.perf_counter()
        self._log("loading", model=name, version=slot.number, path=str(slot.path))
        try:
            version = self._load(name, slot.number, slot.path)
        except Exception as error:  # whatever is wrong with one version, the others are served
            with self._changed:
                slot.state, slot.fingerprint = END, seen
                known = isinstance(error, ServeError)
                slot.code, slot.message = (error.code, error.message) if known else ("UNKNOWN", str(error))
                self._changed.notify_all()
            self._log("load_failed", level="error", model=name, version=slot.number, message=slot.message)
            return False
        with self._changed:
            slot.version, slot.state = version, AVAILABLE
            self._changed.notify_all()
        seconds = round(time.perf_counter() - started, 3)
        self._log("loaded", model=name, version=slot.number, seconds=seconds, warmed_up=version.warmed_up)
        return True

    def _unload(self):
        """Lets go of the versions whose last request is answered."""
        with self._changed:
            idle = [
                (name, slot)
                for name, model in self._models.items()
                for slot in model.slots.values()
                if slot.state == UNLOADING and not slot.in_flight
            ]
            versions = [slot.version for _, slot in idle]
            for name, slot in idle:
                slot.state, slot.version = END, None
                self._log("unloaded", model=name, version=slot.number)
            self._changed.notify_all()
        for version in versions:
            version.close()
        if versions:
            del versions, idle
            gc.collect()  # graphs refer to themselves: without this a few versions' weights pile up

    def _find(self, name, version, label):
        """The slot that a request means. The lock is held."""
        if not name:
            raise invalid("ModelSpec has no name specified. Received: ''")
        model = self._models.get(name)
        if model is not None and label is not None:
            version = self._labelled(model, label)
        loaded = model.loaded() if model else {}
        number = max(loaded, default=None) if version is None else version
        if number not in loaded:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise ServeError("NOT_FOUND", f"Servable not found for request: {asked}")
        return loaded[number]

    def _labelled(self, model, label):
        if label not in model.wanted.labels:
            raise invalid(f"Unrecognized servable version label: {label}")
        return model.wanted.labels[label]

    def _check_served(self, name, want):
        """Raises what keeps a model of a new configuration from being served, if anything does."""
        slots = self._models[name].slots.values()
        loaded = self._models[name].loaded()
        missing = [number for number in want.numbers if number not in loaded]
        if missing or not loaded:
            told = "; ".join(f"version {slot.number}: {slot.message}" for slot in slots if slot.message)
            versions = f"versions {missing} of {name}" if missing else name
            raise ServeError("UNKNOWN", f"{versions} did not become available. {told or 'No such versions'}")
        for label, number in want.labels.items():
            if number not in loaded:
                raise ServeError(
                    "FAILED_PRECONDITION",
                    f"label {label!r} of {name} is of version {number}, which is not available",
                )
