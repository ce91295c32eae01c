"""Pictures are prepared for published weights as their publishers prepare them: size, crop, interpolation, scale."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import oracle
import pytest

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        not oracle.ORACLES.is_dir(), reason="torchvision and timm are put there by `make env`"
    ),
]
# timm's one set that squashes a picture to 266 pixels and cuts 240 out of it; ours keeps its proportions.
SQUASHED_AND_CUT = "efficientnet_v2_b3 timm:tf_efficientnetv2_b3.in21k_ft_in1k"


def test_a_picture_is_prepared_as_by_its_publisher(tmp_path):
    from PIL import Image

    rows, columns = np.mgrid[:333, :450]
    waves = np.stack([np.sin(rows / 9), np.cos(columns / 7), np.sin((rows + columns) / 5)], -1)
    noise = np.random.default_rng(0).normal(size=waves.shape)
    picture = (127 + 80 * waves + 20 * noise).clip(0, 255).astype("uint8")
    Image.fromarray(picture).save(tmp_path / "picture.png")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", Path(__file__).with_name("prepared.py"), tmp_path / "picture.png"],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "torch"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert {name.split()[1].partition(":")[0] for name in found} == {"torchvision", "timm", "keras"}
    assert len(found) > 45
    assert found.pop(SQUASHED_AND_CUT) > 0.1
    largest = {
        "torchvision": 1e-6,
        "timm": 1e-6,
        "keras": 1e-6 * 255,
    }  # some of Keras's want pixels up to 255
    assert not {
        name: value for name, value in found.items() if value > largest[name.split()[1].partition(":")[0]]
    }
