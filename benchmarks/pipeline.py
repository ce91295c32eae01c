"""Images a second from files to batches: decoding, resizing, cropping, augmentation, by number of threads.

```
python benchmarks/pipeline.py [--images 600] [--side 224] [--threads 1,2,4] [--out FILE]
```

Photographs are stood in for by JPEGs of 500 x 375 pixels with the spectrum of a photograph (1 / frequency), so that
they compress alike.
"""

import argparse
import io
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")
import numpy as np
from measured import machine
from PIL import Image
from rich.console import Console
from rich.table import Table

from kzoo.data import FileBatches, Preprocessing, augment
from kzoo.files import write_json

HERE = Path(__file__).parent


def photograph(random):
    """A picture whose amplitudes fall with frequency, as photographs' do."""
    h, w = 375, 500
    frequency = np.hypot(np.fft.fftfreq(h)[:, None] * h, np.fft.rfftfreq(w)[None] * w)
    channels = []
    for _ in range(3):
        phases = np.exp(2j * np.pi * random.uniform(size=frequency.shape))
        plane = np.fft.irfft2(phases / np.maximum(frequency, 1.0), (h, w))
        channels.append((plane - plane.min()) / np.ptp(plane) * 255)
    return Image.fromarray(np.stack(channels, -1).astype("uint8"))


def images_per_second(paths, threads, side, change):
    prepare = Preprocessing((side, side, 3), 0.5, 0.25, resize=round(side / 0.875))
    batches = FileBatches(
        paths, None, 32, preprocess=prepare, workers=threads, augment=change, drop_last=True
    )
    batches[0]
    began = time.perf_counter()
    for i in range(1, len(batches)):
        batches[i]
    return 32 * (len(batches) - 1) / (time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--threads", default="1,2,4")
    parser.add_argument("--out", type=Path, default=HERE / "pipeline.json")
    arguments = parser.parse_args()
    random, found = np.random.default_rng(0), {}
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i in range(arguments.images):
            content = io.BytesIO()
            photograph(random).save(content, "JPEG", quality=90)
            paths.append(Path(folder, f"{i}.jpg"))
            paths[-1].write_bytes(content.getvalue())
        size = sum(path.stat().st_size for path in paths) / len(paths) / 1000
        changes = {"none": None, "shift and flip": augment.shift_flip(8, True)}
        table = Table(
            "augmentation", *(f"{t} threads" for t in arguments.threads.split(",")), title="images a second"
        )
        for name, change in changes.items():
            counts = [int(t) for t in arguments.threads.split(",")]
            found[name] = {t: images_per_second(paths, t, arguments.side, change) for t in counts}
            table.add_row(name, *(f"{rate:.0f}" for rate in found[name].values()))
    Console().print(table)
    write_json(
        arguments.out,
        {
            "machine": machine(),
            "side": arguments.side,
            "kilobytes": round(size, 1),
            "images_per_second": found,
        },
    )


if __name__ == "__main__":
    main()
