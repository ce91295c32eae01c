"""The `kzoo` command as a person uses it: in a process of its own, by what it prints and returns."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kzoo import cli

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[1]
SHORT = ["--epochs", "1", "--samples", "40", "--batch-size", "16", "--model", "mlp_small"]
EPOCHS = 40  # of what is killed after the sixth


def command(*arguments, cwd, backend="jax", **environment):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "kzoo", *map(str, arguments)],
        env=os.environ
        | {"KERAS_BACKEND": backend, "KZOO_RUNS": str(cwd / "runs"), "COLUMNS": "200"}
        | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a short run."""
    folder = tmp_path_factory.mktemp("cli")
    done = command("run", "image_classification", *SHORT, cwd=folder)
    assert done.returncode == 0 and "test_accuracy" in done.stdout, done.stderr
    return folder / "runs" / "image_classification" / "digits-mlp_small-jax"


@pytest.fixture
def here(monkeypatch, capsys):
    """As `command`, in this process: starting one takes seconds."""

    def run(*arguments, cwd):
        monkeypatch.chdir(cwd)
        monkeypatch.setenv("KZOO_RUNS", str(cwd / "runs"))
        capsys.readouterr()
        code = cli.main(list(map(str, arguments)))
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, out, err)

    return run


def refused(done, *words):
    """Exit code 1, one line that says why, no traceback."""
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in last, done.stderr


def test_help_and_version_need_no_engine(tmp_path):
    done = command("--help", cwd=tmp_path, backend="nonsense")
    assert done.returncode == 0 and all(
        word in done.stdout
        for word in ("list", "run", "compare", "export", "verify", "benchmark", "predict", "publish", "serve")
    )
    assert command("--version", cwd=tmp_path, backend="nonsense").stdout.startswith("kzoo ")


def test_list_shows_models_recipes_and_data(tmp_path):
    out = command("list", cwd=tmp_path).stdout
    assert all(
        word in out for word in ("cnn_5x5", "image_classification", "fashion_mnist", "tensorflow, torch, jax")
    )
    out = command("list", "resnet[15]*", cwd=tmp_path).stdout
    assert "resnet50  25.6 M parameters  4.09 G multiply-adds" in out and "vgg" not in out
    assert re.search(r"torchvision:IMAGENET1K_V1 +76\.1 %\n", out)
    assert "did you mean resnet56 or resnet50" in command("list", "resnet5O", cwd=tmp_path).stderr


def test_a_recipe_shows_its_options(tmp_path):
    out = command("run", "image_classification", "--help", cwd=tmp_path).stdout
    assert "--learning-rate" in out and "--no-accelerate" in out


def test_a_run_leaves_model_card_and_pictures(trained):
    assert {path.name for path in trained.iterdir()} == {
        "model.keras",
        "card.json",
        "run.jsonl",
        "history.json",
        "curves.png",
        "confusion.png",
        "predictions.png",
    }
    card = json.loads((trained / "card.json").read_text())
    assert card["labels"] == [str(i) for i in range(10)] and card["engine"] == "jax"
    assert card["configuration"]["epochs"] == 1 and 0 <= card["figures"]["test_accuracy"] <= 1


def test_a_recipe_file_runs_by_itself(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", ROOT / "recipes/vision/image_classification.py", *SHORT],
        env=os.environ | {"KERAS_BACKEND": "torch", "KZOO_RUNS": str(tmp_path / "runs")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "test_accuracy" in done.stdout, done.stderr
    card = json.loads(next(tmp_path.glob("runs/*/*/card.json")).read_text())
    assert card["engine"] == "torch"


def test_export_then_predict_from_every_artefact(trained, tmp_path, here):
    from PIL import Image
    from sklearn.datasets import load_digits

    images = tmp_path / "images"
    images.mkdir()
    for i in range(3):
        Image.fromarray((load_digits().images[i] * 255 / 16).round().astype("uint8")).save(
            images / f"{i}.png"
        )
    done = command("export", trained / "model.keras", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads((tmp_path / "out" / "export.json").read_text())
    assert [a["status"] for a in report["artefacts"]] == ["passed"] * 3
    other = command("verify", tmp_path / "out" / "model.onnx", trained, cwd=tmp_path, backend="torch")
    assert other.returncode == 0, other.stderr + other.stdout
    outputs = [
        run("predict", path, images, "--csv", cwd=tmp_path).stdout
        for run, path in (
            (command, trained),
            *[(here, tmp_path / "out" / name) for name in ("savedmodel", "model.onnx", "model.tflite")],
        )
    ]
    rows = [np.array([line.split(",")[1:] for line in out.strip().splitlines()[1:]]) for out in outputs]
    for other in rows[1:]:
        assert (other[:, 1] == rows[0][:, 1]).all() and len(other) == len(rows[0]) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "image_classifcation"], ["image_classification"]),
        (["run", "image_classification", "--backend", "mxnet"], ["tensorflow, torch, jax", "mxnet"]),
        (["run", "image_classification", "--model", "cnm"], ["did you mean cnn"]),
        (["run", "image_classification", "--data", "mnits"], ["fashion_mnist", "mnits"]),
        (["run", "image_classification", "--epochs", "0"], ["epochs"]),
        (["compare", "nothing"], ["image_classification"]),
        (["compare", "image_classification", "--engines", "jax,mxnet"], ["mxnet"]),
        (["export", "missing.keras", "out"], ["missing.keras"]),
        (["export", "broken.keras", "out"], ["broken.keras"]),
        (["export", "broken.keras", "out", "--formats", "onix"], ["onnx", "onix"]),
        (["export", "broken.keras", "out", "--lengths", "a,b"], ["16,32", "a,b"]),
        (["export", "broken.keras", "out", "--shape", "input=1x?xz"], ["NAME=1x64x8", "1x?xz"]),
        (["export", "broken.keras", "out", "--import", "no_such_module"], ["no_such_module"]),
        (["verify", "missing.onnx", "broken.keras"], ["missing.onnx"]),
        (["publish", "broken.keras", "served"], ["broken.keras"]),
        (["serve", "nowhere"], ["nowhere"]),
        (["serve-config", "nowhere", "out"], ["nowhere"]),
        (["predict", "broken.keras", "broken.keras"], ["card"]),
        (["run", "image_classification", "--data", "corrupt"], ["a.png"]),
        (["run", "image_classification", "--data", "empty"], ["none"]),
    ],
)
def test_bad_input_is_told_in_a_line(arguments, words, tmp_path, here):
    (tmp_path / "broken.keras").write_text("not an archive")
    for name in ("corrupt/one", "corrupt/two", "empty/some", "empty/none"):
        (tmp_path / name).mkdir(parents=True)
    from PIL import Image

    for name in ("corrupt/one/b.png", "corrupt/two/c.png", "empty/some/d.png"):
        Image.new("L", (8, 8)).save(tmp_path / name)
    (tmp_path / "corrupt/one/a.png").write_bytes(b"no picture")
    apart = "mxnet" in arguments  # an engine is chosen once in a process
    refused((command if apart else here)(*arguments, cwd=tmp_path), *words)


def test_an_unwritable_folder_is_refused(trained, tmp_path, here):
    (tmp_path / "file").write_text("")
    refused(
        command("run", "image_classification", cwd=tmp_path, KZOO_RUNS=str(tmp_path / "file")), "cannot write"
    )
    refused(here("export", trained, tmp_path / "file" / "out", cwd=tmp_path), "file")


def test_a_truncated_data_file_is_refused(tmp_path):
    (tmp_path / "mnist").mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / "mnist" / f"{name}-ubyte.gz").write_bytes(b"\x1f\x8b\x08\x00 cut short")
    done = command(
        "run", "image_classification", "--data", "mnist", cwd=tmp_path, KZOO_DATA_DIR=str(tmp_path)
    )
    refused(done, "ubyte.gz")


def test_an_interrupted_run_goes_on(tmp_path):
    """Killed after an epoch, the same command ends with all of them."""
    arguments = ["run", "image_classification", *SHORT[2:], "--epochs", str(EPOCHS)]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "kzoo", *arguments],
        env=os.environ
        | {"KERAS_BACKEND": "jax", "KZOO_RUNS": str(tmp_path / "runs"), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("Epoch 6/"):
            process.kill()
    process.wait()
    state = list(tmp_path.glob("runs/*/*/resume/epoch-*/training.json"))
    assert len(state) == 1
    begun = json.loads(state[0].read_text())["epoch"]
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first = next(line for line in done.stdout.splitlines() if line.startswith("Epoch "))
    assert first == f"Epoch {begun + 1}/{EPOCHS}"
    history = json.loads(next(tmp_path.glob("runs/*/*/history.json")).read_text())
    assert len(history["loss"]) == EPOCHS
