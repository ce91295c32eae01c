"""The wheel: what people install."""

import itertools
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[1]


def test_the_wheel_carries_the_recipes_and_the_command(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert "kzoo/_recipes/vision/image_classification.py" in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "runs/"))]
    code = "import sys; sys.path.insert(0, sys.argv[1]); from kzoo import recipes as r; print(r.__file__, *r.find())"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "site"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(tmp_path) in done.stdout and "image_classification" in done.stdout


def test_every_dependency_is_pinned_for_this_repository():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().split()
    }
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = {name.split(">=")[0].split("[")[0].lower().replace("_", "-") for name in wanted} - {"kzoo"}
    assert names <= pinned
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text()
