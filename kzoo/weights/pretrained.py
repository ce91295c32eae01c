"""A model with published weights: fetched, converted once, kept under our names, and fitted to the model asked for."""

import base64
import hashlib
import os
import re
import urllib.request
from pathlib import Path

import h5py
import numpy as np

from kzoo.data import fetch
from kzoo.engine import require, unknown
from kzoo.files import replacing
from kzoo.models import catalog
from kzoo.weights.catalog import HUB, find, published
from kzoo.weights.convert import fit, turned
from kzoo.weights.load import read_checkpoint, source_of, sources_of

CHECKPOINTS = (".safetensors", ".pth", ".pt", ".bin", ".th", ".h5", ".hdf5")


def create(name, pretrained, image_shape, num_classes, kwargs):
    """What `kzoo.create_model(name, pretrained=…)` gives."""
    family, images = catalog.family_of(name), "image_shape" in catalog.decided_by_data(name)
    if name in HUB and pretrained in (True, "transformers"):
        pretrained = f"transformers:{HUB[name]}"
    source, path = _file_of(family, pretrained)
    if path is not None:
        arguments = {**source_of(family, source).arguments, **kwargs}
        builder = next((row.builder for row in published(name) if row.source == source), None)
        values, origin = _converted(name, source, path, builder, arguments), str(path)
        if images:
            image_shape = image_shape or catalog.published_shape(name)
    else:
        entry = find(name, pretrained)
        arguments = {**source_of(family, entry.source).arguments, **kwargs}
        values, origin = _kept(entry, arguments), f"{name} of {entry.key}"
        image_shape = image_shape or (entry.image_size, entry.image_size, 3)
    if images and num_classes is None:
        head = values.get("head/kernel")
        num_classes = 0 if head is None else head.shape[-1]
    model = catalog.create_model(name, image_shape=image_shape, num_classes=num_classes, **arguments)
    fit(model, values, origin)
    return model


def _file_of(family, pretrained):
    """`(source, path)` of `"source:path"`; `(None, None)` if published weights are meant."""
    if pretrained is True:
        return None, None
    if not isinstance(pretrained, str):
        raise ValueError(
            "pretrained must be True, a source, 'source:name' or 'source:path/to/file'. "
            f"Received: pretrained={pretrained!r}"
        )
    source, _, rest = pretrained.partition(":")
    if source not in sources_of(family):
        raise unknown(f"source of weights for {family}", source, sources_of(family))
    path = Path(rest).expanduser()
    if source == "transformers" and path.is_dir():
        return source, path / "model.safetensors"
    if source == "transformers" and re.fullmatch(r"[\w.-]+/[\w.-]+", rest) and not path.suffix:
        return source, _on_the_hub(rest)
    if rest.endswith(CHECKPOINTS) or os.sep in rest:
        return source, path
    return None, None


def _on_the_hub(name):
    """The file of a model on the Hugging Face Hub, fetched and checked by its own library, which keeps it."""
    hub = require("huggingface_hub", "weights")
    try:
        return Path(hub.hf_hub_download(name, "model.safetensors"))
    except OSError as error:
        raise ConnectionError(
            f"there is no folder {name}, and the Hugging Face Hub gives no model.safetensors of that name: {error}"
        ) from error


def _converted(name, source, path, builder, arguments):
    """A checkpoint under our names, whatever number of classes it is for."""
    decided = {}
    if "image_shape" in catalog.decided_by_data(name):
        decided = {"image_shape": catalog.published_shape(name), "num_classes": 1000}
    template = catalog.skeleton(name, **decided, **arguments)
    source, arrays = source_of(catalog.family_of(name), source), read_checkpoint(path, builder)
    return turned(template, source, arrays, str(path), classifier=bool(decided))


def _kept(entry, arguments):
    """The converted weights of an entry, from the cache, or fetched and put there."""
    parts = (entry.model, entry.url, entry.digest, sorted((k, repr(v)) for k, v in arguments.items()))
    mark = hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
    path = cache_directory() / f"{entry.model}-{entry.source}-{mark}.weights.h5"
    if path.is_file():
        try:
            with h5py.File(path) as file:
                return {name: file[name][()] for name in file.attrs["names"]}
        except (OSError, KeyError):
            path.unlink()  # not what was written there: made again
    values = _converted(entry.model, entry.source, fetch.fetch(_file(entry)), entry.builder, arguments)
    if entry.bgr:
        (first,) = (key for key in values if key.startswith("stem") and values[key].shape[-2:-1] == (3,))
        values[first] = values[first][:, :, ::-1]
    with replacing(path) as aside, h5py.File(aside, "w") as file:
        for name, array in values.items():
            file.create_dataset(name, data=np.asarray(array, "float32"))
        file.attrs["names"] = list(values)
    return values


def cache_directory():
    """Where converted weights are kept."""
    return fetch.cache_directory().parent / "weights"


def _file(entry):
    """What to fetch, and how it is known to be right."""
    digest, size = (entry.digest, None) if entry.digest else _told_by_the_server(entry)
    base, _, name = entry.url.rpartition("/")
    folder = (
        "weights"
        if entry.source != "timm"
        else f"weights/{entry.url.split('/resolve/')[0].rpartition('/')[2]}"
    )
    return fetch.File(folder, name, digest, size, (base,))


def _told_by_the_server(entry):
    """Digest and size of a file whose publisher gives none: of the Hugging Face Hub, or of Google's storage."""
    try:
        if entry.source == "timm":
            told = require("huggingface_hub", "weights").get_hf_file_metadata(entry.url)
            found, header, size = re.fullmatch(r"[0-9a-f]{64}", told.etag or ""), told.etag, told.size
            digest = found and f"sha256:{found[0]}"
        else:
            request = urllib.request.Request(entry.url, method="HEAD", headers={"User-Agent": "kzoo"})
            with urllib.request.urlopen(request, timeout=fetch.TIMEOUT) as answer:
                header = ",".join(answer.headers.get_all("X-Goog-Hash", ()))
                length = answer.headers["Content-Length"]
            size = int(length) if length else None
            found = re.search(r"md5=([\w/+]+=*)", header)
            digest = found and f"md5:{base64.b64decode(found[1]).hex()}"
    except ImportError:  # it names the extra
        raise
    except Exception as error:  # the Hub's library lets those of its HTTP client through, which has changed
        raise ConnectionError(f"the server does not tell what {entry.url} holds: {error}") from error
    if not digest:
        raise ValueError(f"the server tells no digest of {entry.url}. Received: {header!r}")
    return digest, size
