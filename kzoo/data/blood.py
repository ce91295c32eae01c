"""Blood cells cut out of microscope pictures by the boxes that people drew around them: BCCD."""

import io
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np

from kzoo.data import fetch
from kzoo.engine import require

CELLS = ("Platelets", "RBC", "WBC")
FILE = fetch.File(
    "bccd", "BCCD.zip", "sha256:5c944216590ce3c962390445901f314897c1b66ace1ec2caddf88de535c317c7", 7_868_233
)


def load_cells(size=32):
    """`(train, test)`: pairs of uint8 `(n, size, size, 3)` and class indices `(n,)`, split by picture as published.

    A cell is the square around its box, as wide as the box's longer side, moved into the picture where it juts out. The
    published training and validation pictures are the training part.
    """
    image = require("PIL.Image", "recipes")
    parts = {}
    with zipfile.ZipFile(fetch.fetch(FILE)) as archive:
        for part, lists in (("train", ("train", "val")), ("test", ("test",))):
            x, y = [], []
            for name in (n for one in lists for n in archive.read(f"BCCD/ImageSets/Main/{one}.txt").split()):
                name = name.decode()
                root = ElementTree.fromstring(archive.read(f"BCCD/Annotations/{name}.xml"))
                picture = image.open(io.BytesIO(archive.read(f"BCCD/JPEGImages/{name}.jpg"))).convert("RGB")
                for box, label in _boxes(root):
                    square = _square(box, picture.size)
                    if square is not None:
                        x.append(
                            np.asarray(picture.resize((size, size), image.Resampling.BILINEAR, box=square))
                        )
                        y.append(label)
            parts[part] = np.stack(x), np.asarray(y)
    return parts["train"], parts["test"]


def _boxes(root):
    for item in root.iter("object"):
        box = item.find("bndbox")
        corners = [int(box.find(key).text) for key in ("xmin", "ymin", "xmax", "ymax")]
        yield corners, CELLS.index(item.find("name").text)


def _square(box, size):
    """The square around a box inside the picture, or `None` for a box without an inside."""
    left, top, right, bottom = box
    side = min(max(right - left, bottom - top), *size)
    if right - left < 4 or bottom - top < 4:
        return None
    left = min(max((left + right - side) // 2, 0), size[0] - side)
    top = min(max((top + bottom - side) // 2, 0), size[1] - side)
    return left, top, left + side, top + side
