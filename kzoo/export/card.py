"""The card inside the artefact: what a model's user needs to know, carried by the file itself.

A run's `card.json` says what the classes are called and how images are prepared. `write_card` puts it into an
artefact of any format, where that format keeps such things; `read_card_of` reads it back from the artefact
alone, without TensorFlow, PyTorch or onnx.

    savedmodel      assets.extra/card.json, assets.extra/labels.txt
    onnx            metadata_props["kzoo.card"]
    tflite          metadata entry "kzoo.card"; card.json and labels.txt in a zip archive after the model
    pt2, torchscript  the extra file card.json
    openvino        card.json in the folder
    coreml          user-defined metadata "kzoo.card"
"""

import io
import json
import zipfile
from pathlib import Path

from kzoo.engine import require

KEY = "kzoo.card"
CARD, LABELS, EXTRA = "card.json", "labels.txt", "assets.extra"
COREML_MODEL = Path("Data", "com.apple.CoreML", "model.mlmodel")


def write_card(path, format_name, card):
    """Puts a card into an artefact. Without a card nothing happens.

    Args:
        path: the artefact, a file or a directory.
        format_name: its format, one of the names in `kzoo.export.formats.FORMATS`.
        card: the card as a dict, or `None`.

    Raises:
        ValueError: if the format is unknown, or the artefact is not of it.
        ImportError: if a package is missing; it names the extra.
    """
    if card is None:
        return
    path, kind = Path(path), "tflite" if format_name.startswith("tflite") else format_name
    if kind not in _WRITERS:
        raise ValueError(f"the formats are {', '.join(_WRITERS)}. Received: format_name={format_name!r}")
    _WRITERS[kind](path, card)


def read_card_of(path):
    """The card that an artefact carries, as a dict, or `None` if it carries none.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if what it carries is not a card.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file or directory. Received: {path}")
    try:
        text = _read_directory(path) if path.is_dir() else _read_file(path)
        card = None if text is None else json.loads(text)
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"the card in this artefact cannot be read ({error}). Received: {path}") from error
    if text is None:
        return None
    if not isinstance(card, dict):
        raise ValueError(f"the card in this artefact is not a dict. Received: {path}")
    return card


def labels_text(card):
    """The labels of a card, one a line; `None` if it has none. A line break inside a label becomes a space."""
    if not card.get("labels"):
        return None
    return "".join(" ".join(str(label).splitlines()) + "\n" for label in card["labels"])


def _json(card, indent=None):
    return json.dumps(card, indent=indent, ensure_ascii=False)


def _write_folder(folder, card):
    folder.mkdir(exist_ok=True)
    (folder / CARD).write_text(_json(card, indent=2) + "\n", encoding="utf-8")
    if labels := labels_text(card):
        (folder / LABELS).write_text(labels, encoding="utf-8")


def _write_savedmodel(path, card):
    _write_folder(path / EXTRA, card)


def _write_onnx(path, card):
    onnx = require("onnx", "export")
    model = onnx.load(str(path), load_external_data=False)
    kept = [entry for entry in model.metadata_props if entry.key != KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=KEY, value=_json(card))
    onnx.save(model, str(path))


def _write_tflite(path, card):
    """Metadata for those who read the flatbuffer, and a zip archive behind it for those who do not.

    An interpreter reads the flatbuffer from the front, `zipfile` the archive from the end.
    """
    schema = require("ai_edge_litert.schema_py_generated", "export")
    flatbuffers = require("flatbuffers", "export")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    model.metadata = [entry for entry in model.metadata or [] if entry.name not in (KEY, KEY.encode())]
    entry, buffer = schema.MetadataT(), schema.BufferT()
    buffer.data = list(_json(card).encode())
    model.buffers.append(buffer)
    entry.name, entry.buffer = KEY, len(model.buffers) - 1
    model.metadata.append(entry)
    builder = flatbuffers.Builder(path.stat().st_size)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CARD, _json(card, indent=2) + "\n")
        if labels := labels_text(card):
            archive.writestr(LABELS, labels)


def _write_torch(path, card):
    """Both of PyTorch's formats are zip archives, and `extra/` in them is for whatever a user adds."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        name = f"{names[0].split('/')[0]}/extra/{CARD}"
    except (zipfile.BadZipFile, IndexError) as error:
        raise ValueError(f"not an archive of PyTorch's. Received: {path}") from error
    if name in names:
        raise ValueError(f"this archive carries a card already. Received: {path}")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, _json(card))


def _write_coreml(path, card):
    Model = require("coremltools.proto.Model_pb2", "export").Model
    file = path / COREML_MODEL
    model = Model.FromString(file.read_bytes())
    model.description.metadata.userDefined[KEY] = _json(card)
    file.write_bytes(model.SerializeToString())


_WRITERS = {
    "savedmodel": _write_savedmodel,
    "onnx": _write_onnx,
    "tflite": _write_tflite,
    "pt2": _write_torch,
    "torchscript": _write_torch,
    "openvino": _write_folder,
    "coreml": _write_coreml,
}


def _read_directory(path):
    for file in (path / EXTRA / CARD, path / CARD):
        if file.is_file():
            return file.read_bytes()
    if (path / COREML_MODEL).is_file():
        # Model.description.metadata.userDefined, a map: fields 2, 100 and 100 of Core ML's Model.proto.
        for description in _fields(path / COREML_MODEL, 2):
            for metadata in _fields(description, 100):
                for pair in _fields(metadata, 100):
                    if _text(pair, 1) == KEY:
                        return _text(pair, 2)
    return None


def _read_file(path):
    if path.suffix == ".onnx":
        for pair in _fields(path, 14):  # ModelProto.metadata_props
            if _text(pair, 1) == KEY:
                return _text(pair, 2)
    elif zipfile.is_zipfile(path) and path.suffix != ".keras":
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name == CARD or (name.count("/") == 2 and name.endswith(f"/extra/{CARD}")):
                    return archive.read(name)
    return None


def _text(message, number):
    return next((value.decode() for value in _fields(message, number)), None)


def _fields(message, number):
    """The values of one length-delimited field of a protobuf message, which is bytes or a file.

    The rest is stepped over: a model of gigabytes is not read to find a few lines in it.

    Raises:
        ValueError: if these bytes are no protobuf message.
    """
    with open(message, "rb") if isinstance(message, Path) else io.BytesIO(message) as stream:
        end = stream.seek(0, 2)
        stream.seek(0)
        while stream.tell() < end:
            tag = _varint(stream)
            kind = tag & 7
            if kind == 0:
                _varint(stream)
                continue
            if kind not in (1, 2, 5):
                raise ValueError(f"not a protobuf message. Received: a field of type {kind}")
            length = {1: 8, 5: 4}.get(kind) or _varint(stream)
            if stream.tell() + length > end:
                raise ValueError(f"a protobuf message is cut short. Received: {end} bytes")
            if kind == 2 and tag >> 3 == number:
                yield stream.read(length)
            else:
                stream.seek(length, 1)


def _varint(stream):
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise ValueError("a protobuf message is cut short. Received: an unfinished number")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("not a protobuf message. Received: a number of more than 64 bits")
