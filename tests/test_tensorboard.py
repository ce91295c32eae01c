"""TensorBoard's own server reads what the callback writes; the progress bar tells people and files."""

import io
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import keras
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from kzoo.callbacks import RichProgress, TensorBoard

X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")


def train(*callbacks, epochs=3):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="line")])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    data = (X, X[:, :2])
    return model.fit(
        *data, batch_size=8, epochs=epochs, validation_data=data, callbacks=list(callbacks), verbose=0
    )


@pytest.fixture
def ask(tmp_path):
    """Starts the real server on `tmp_path / "logs"`; a function that asks it for JSON or bytes."""
    started = []

    def start():
        command = [
            sys.executable,
            "-m",
            "tensorboard.main",
            "--logdir",
            str(tmp_path / "logs"),
            "--port",
            "0",
        ]
        options = ["--load_fast=false", "--bind_all"]
        process = subprocess.Popen(command + options, stderr=subprocess.PIPE, text=True)
        started.append(process)
        line = next(line for line in process.stderr if "http://" in line)
        return "http://localhost:" + line.split("://")[1].split(":")[1].split("/")[0]

    def get(path, **query):
        if not started:
            get.base = start()
        url = f"{get.base}/data/{path}?{urllib.parse.urlencode(query)}"
        for _ in range(150):  # it reads the files a little later
            try:
                with urllib.request.urlopen(url, timeout=20) as answer:
                    content = answer.read()
                if content not in (b"{}", b"[]"):
                    return content
            except urllib.error.HTTPError:
                pass
            time.sleep(0.2)
        raise TimeoutError(url)

    yield get
    for process in started:
        process.kill()
        process.wait()


def test_the_real_tensorboard_shows_scalars_histograms_images_and_texts(tmp_path, ask):
    image = np.linspace(0, 1, 48).reshape(4, 4, 3)
    callback = TensorBoard(
        tmp_path / "logs",
        histogram_freq=1,
        update_freq=2,
        images=lambda epoch, model: {"picture": image, "sheet": np.stack([image, image])},
        texts={"configuration": "rate **0.05**"},
    )
    history = train(callback).history
    shown = {
        run: json.loads(ask("plugin/scalars/scalars", run=run, tag="epoch_loss"))
        for run in ("train", "validation")
    }
    for run, name in (("train", "loss"), ("validation", "val_loss")):
        assert [step for _, step, _ in shown[run]] == [0, 1, 2]
        np.testing.assert_allclose([value for _, _, value in shown[run]], history[name], rtol=1e-5)
    rates = json.loads(ask("plugin/scalars/scalars", run="train", tag="epoch_learning_rate"))
    assert rates[-1][2] == pytest.approx(0.05)
    assert len(json.loads(ask("plugin/scalars/scalars", run="train", tag="batch_loss"))) == 6
    tags = json.loads(ask("plugin/histograms/tags"))["train"]
    assert {tag.rpartition("/")[2] for tag in tags} == {"kernel", "bias"}
    histograms = json.loads(ask("plugin/histograms/histograms", run="train", tag=next(iter(tags))))
    assert len(histograms) == 3
    images = json.loads(ask("plugin/images/images", run="train", tag="picture", sample=0))
    query = dict(urllib.parse.parse_qsl(images[-1]["query"]))
    with Image.open(io.BytesIO(ask("plugin/images/individualImage", **query))) as drawn:
        np.testing.assert_allclose(np.asarray(drawn), np.round(255 * image), atol=1)
    texts = json.loads(ask("plugin/text/text", run="train", tag="configuration/text_summary"))
    assert "<strong>0.05</strong>" in texts[0]["text"]


def test_wrong_arguments_of_tensorboard_are_named(tmp_path):
    with pytest.raises(ValueError, match="update_freq='batch'"):
        TensorBoard(tmp_path, update_freq="batch")
    wrong = TensorBoard(tmp_path, images=lambda epoch, model: {"flat": np.zeros((4, 4))})
    with pytest.raises(ValueError, match="'flat' of shape"):
        train(wrong, epochs=1)


@pytest.mark.once
def test_tensorboard_needs_no_tensorflow(tmp_path):
    code = (
        "import sys, numpy, keras; from kzoo.callbacks import TensorBoard\n"
        "m = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]); m.compile('sgd', 'mse')\n"
        f"m.fit(numpy.ones((2, 1)), numpy.ones((2, 1)), verbose=0, callbacks=[TensorBoard({str(tmp_path)!r}, 1)])\n"
        "assert not {'tensorflow', 'torch'} & set(sys.modules), 'imported'\n"
    )
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, env=environment)


def test_progress_is_a_line_per_epoch_in_a_file_and_a_bar_on_a_terminal():
    for terminal in (False, True):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
        history = train(RichProgress(console, refresh=0.0), epochs=2).history
        text = console.file.getvalue()
        assert f"loss {history['loss'][-1]:.4g}" in text and "epoch 2/2" in text
        assert ("━" in text) == terminal
        if not terminal:
            assert len(text.splitlines()) == 2
