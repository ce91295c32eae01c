"""Publishing a version for serving: from every engine, with every signature, whole or not at all."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

pytest.importorskip("tensorflow_serving")
pytest.importorskip("PIL.Image")

from pictures import LABELS, brightness_model, card, write_pictures, write_run

from kzoo.export import ExportError, publisher
from kzoo.export.publisher import publish, versions

HERE = Path(__file__).parent
RESIZED_SHARE = 0.01  # of levels that may be one off


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A published run: the directory of all models, and what `publish` said."""
    folder = tmp_path_factory.mktemp("served")
    loaded, lines = "tensorflow" in sys.modules, []
    published = publish(write_run(folder / "runs" / "brightness"), folder / "models", progress=lines.append)
    assert ("tensorflow" in sys.modules) == loaded, "publish imported TensorFlow into this process"
    assert any("warm-up" in line for line in lines)
    return folder / "models", published


@pytest.fixture(scope="module")
def probed(served, tmp_path_factory):
    """What `serving_probe.py` says of the published version, moved away, in a process with TensorFlow."""
    base, published = served
    copy = shutil.copytree(published.path, tmp_path_factory.mktemp("alone") / "in" / "an" / "empty folder")
    pictures = base.parent / "pictures"
    write_pictures(pictures)
    environment = {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / "serving_probe.py", copy, pictures],
        env=os.environ | environment, cwd=tmp_path_factory.mktemp("probe"), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_a_version_is_published_with_all_signatures_and_its_proof(served):
    base, published = served
    assert (published.name, published.version) == ("brightness", 1)
    assert published.path == base / "brightness" / "1" and [*base.iterdir()] == [base / "brightness"]
    assert published.signatures == ("serving_default", "classify_images", "classify")
    assert published.difference <= 1e-5 and published.scores_difference <= 2e-2
    assert [path.name for path in published.path.parent.iterdir()] == ["1"], "nothing is left beside it"
    extra = published.path / "assets.extra"
    assert json.loads((extra / "card.json").read_text()) == card()
    assert (extra / "labels.txt").read_text(encoding="utf-8").splitlines() == LABELS
    assert (published.path / "saved_model.pb").stat().st_mode & 0o044, "a server of another user reads it"
    assert published.bytes == sum(path.stat().st_size for path in published.path.rglob("*") if path.is_file())


@pytest.mark.once
def test_pictures_of_the_models_size_become_exactly_the_same_numbers(probed):
    assert len(probed["exact"]) == 16 and set(probed["exact"].values()) == {0.0}


@pytest.mark.once
def test_every_exif_orientation_is_turned_upright(probed):
    assert len(probed["orientations"]) == 16 and set(probed["orientations"].values()) == {0.0}


@pytest.mark.once
def test_resized_pixels_are_at_most_one_level_off_and_rarely(probed):
    assert probed["pixels"]["nearest"] == [0.0, 0.0]
    for worst, share in probed["pixels"].values():
        assert worst <= 1 and share <= RESIZED_SHARE


@pytest.mark.once
def test_bytes_that_are_no_picture_are_an_invalid_argument_that_says_so(probed):
    said = probed["junk"]
    assert "Unknown image file format" in said["text"] and "Input is empty" in said["empty"]
    assert "Invalid PNG" in said["cut png"] and "Invalid JPEG" in said["cut jpeg"]
    assert "Invalid JPEG" in said["exif without end"]
    assert probed["empty batch"] == [[0, 5], [0, 5]]


@pytest.mark.once
def test_signatures_have_the_names_and_methods_that_servers_know(probed):
    assert probed["names"] == {
        "serving_default": [["image"], ["scores"]],
        "classify_images": [["image_bytes"], ["labels", "scores"]],
        "classify": [["inputs"], ["classes", "scores"]],
    }
    predict = "tensorflow/serving/predict"
    assert probed["methods"] == {
        "serving_default": predict, "classify_images": predict, "classify": "tensorflow/serving/classify",
    }  # fmt: skip
    assert probed["foreign"] == [], "only operators that a server has"


@pytest.mark.once
def test_warm_up_requests_can_be_replayed(probed):
    names = ("serving_default", "classify_images", "classify")
    assert probed["warmup"] == [["brightness", name, size] for size in (1, 4) for name in names]


@pytest.mark.once
def test_a_version_alone_classifies_pictures_as_the_run_does(served, probed):
    from kzoo.predict import predict

    folder = served[0].parent
    expected = predict(folder / "runs" / "brightness", folder / "pictures", top=6)
    assert len({one.labels[0] for one in expected}) == 6, "the pictures tell the classes apart"
    assert [labels for labels, _ in probed["predicted"]] == [list(one.labels) for one in expected]
    scores = [one.scores for one in expected]
    np.testing.assert_allclose([given for _, given in probed["predicted"]], scores, atol=1e-5)


@pytest.mark.once
def test_without_a_card_there_are_raw_tensors_only(tmp_path):
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((None,), dtype="int32", name="b")}
    joined = keras.layers.Concatenate()(
        [inputs["a"], keras.layers.LSTM(3)(keras.layers.Embedding(9, 2)(inputs["b"]))]
    )
    model = keras.Model(inputs, {"x": keras.layers.Dense(2)(joined)}, name="two_inputs")
    published = publish(model, tmp_path, version=7, samples="digits")
    assert published.path == tmp_path / "two_inputs" / "7" and published.signatures == ("serving_default",)
    assert "no card" in published.note and published.scores_difference is None
    assert not (published.path / "assets.extra" / "card.json").exists()
    samples = sorted((published.path / "assets.extra" / "samples").iterdir())
    assert [path.name for path in samples] == [f"{digit:02}-{digit}.png" for digit in range(10)]
    assert samples[0].read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match=r"never replaced\. Received: .*two_inputs/7"):
        publish(model, tmp_path, version=7)


KILLED = """
import sys
from kzoo.export.publisher import publish
publish(sys.argv[1], sys.argv[2])
"""
MOMENTS = {  # what is there when the process is killed
    "begun": ".export-*",
    "warmed up": ".export-*/version/assets.extra/tf_serving_warmup_requests",
}


@pytest.mark.once
def test_killed_at_any_moment_it_leaves_whole_versions(served, tmp_path):
    base, _ = served
    models, run = tmp_path / "models", base.parent / "runs" / "brightness"
    shutil.copytree(base, models)
    folder = models / "brightness"
    before = content(folder / "1")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for moment, pattern in MOMENTS.items():
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", KILLED, run, models],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not list(folder.glob(pattern)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        assert list(folder.glob(pattern)), f"it never came as far as {moment}"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert content(folder / "1") == before, moment
        assert len(list(folder.glob(".export-*"))) <= 1, "the leftovers of the one before are gone"
        assert versions(folder) == [1], moment
    assert publish(run, models, batch_sizes=(1, 2)).version == 2
    assert {path.name for path in folder.iterdir()} == {"1", "2"}, "stale folders are removed"
    assert {path.name for path in content(folder / "2")} == {path.name for path in before}


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(name="../evil"), "letters, digits"),
        (dict(name=".hidden"), "letters, digits"),
        (dict(version=0), "at least 1"),
        (dict(version=1), "never replaced"),
        (dict(card=card() | {"labels": ["a", "b"]}), "2 labels"),
        (dict(card=card(size=9)), r"images of \(9, 9, 1\)"),
        (dict(card="card.json"), "a card is a dict"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(options, words, tmp_path):
    (tmp_path / "brightness" / "1").mkdir(parents=True)
    with pytest.raises(ValueError, match=rf"{words}.*Received: "):
        publish(brightness_model(), tmp_path, **{"name": "brightness", **options})
    assert [path.name for path in tmp_path.rglob("*")] == ["brightness", "1"]


def test_a_refused_model_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="2 labels"):
        publish(brightness_model(), tmp_path, name="new", card=card(labels=["a", "b"]))
    assert not list(tmp_path.iterdir())


def test_a_number_that_somebody_else_took_meanwhile_is_not_taken_again(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "saved_model.pb").touch()
    with pytest.raises(ValueError, match="never replaced"):
        publisher._take_number(tmp_path / "made", tmp_path, 1)
    assert publisher._take_number(tmp_path / "made", tmp_path, None) == tmp_path / "2"
    assert versions(tmp_path) == [1, 2]


def test_a_picture_that_is_told_otherwise_is_not_published(tmp_path):
    from kzoo.predict import Prediction

    expected = [(Prediction(tmp_path / "a.png", ("cat", "dog"), (0.7, 0.3)), False)]
    same = [{"labels": ["cat", "dog"], "scores": [0.7, 0.3]}]
    assert publisher._compare_pictures(expected, same) == 0
    for scores in ([0.699, 0.301], [float("nan"), 0.3]):
        with pytest.raises(ExportError, match=r"a\.png.*apart"):
            publisher._compare_pictures(expected, [{"labels": ["cat", "dog"], "scores": scores}])
    resized = [(expected[0][0], True)]
    assert publisher._compare_pictures(resized, [{"labels": ["cat", "dog"], "scores": [0.69, 0.31]}]) > 9e-3
