"""Published weights, from a local server: fetched once, checked, converted once, kept."""

import base64
import functools
import hashlib
import http.server
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from test_checkpoints import torch_names

import kzoo
from kzoo.weights import catalog, pretrained
from kzoo.weights.catalog import Published

pytestmark = pytest.mark.once


class Handler(http.server.SimpleHTTPRequestHandler):
    """Tells digests as Google's storage does, where a test gives them."""

    asked, told = [], []

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def end_headers(self):
        for value in self.told:
            self.send_header("X-Goog-Hash", value)
        super().end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that is served, a function that publishes a file of it, and the cache in another folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KZOO_DATA_DIR", raising=False)
    folder = tmp_path / "served"
    folder.mkdir()
    Handler.asked, Handler.told = [], []
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def publish(**options):
        from safetensors.numpy import save_file

        arrays = torch_names(kzoo.create_model("resnet20"))
        save_file(arrays, folder / "resnet20.safetensors")
        digest = hashlib.sha256((folder / "resnet20.safetensors").read_bytes()).hexdigest()
        entry = Published(
            **{
                "model": "resnet20",
                "source": "torchvision",
                "tag": "CIFAR10_V1",
                "url": f"http://127.0.0.1:{server.server_port}/resnet20.safetensors",
                "digest": f"sha256:{digest[:8]}",
                "num_classes": 10,
                "image_size": 32,
                "resize": 36,
            }
            | options
        )
        monkeypatch.setattr(catalog, "_table", lambda: {"resnet20": [entry]})
        return entry, arrays

    yield publish
    server.shutdown()


def test_weights_are_fetched_converted_once_and_kept(server):
    entry, arrays = server()
    model = kzoo.create_model("resnet20", pretrained=True)
    assert model.input_shape == (None, 32, 32, 3) and model.output_shape == (None, 10)
    kernel = keras.ops.convert_to_numpy(model.get_layer("stem_conv").kernel)
    np.testing.assert_array_equal(kernel, arrays["conv1.weight"].transpose(2, 3, 1, 0))
    assert Handler.asked == ["/resnet20.safetensors"]
    (kept,) = pretrained.cache_directory().glob("*.weights.h5")
    again = kzoo.create_model("resnet20", pretrained="torchvision:CIFAR10_V1", num_classes=3)
    assert Handler.asked == ["/resnet20.safetensors"] and again.output_shape == (None, 3)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again.get_layer("stem_conv").kernel), kernel)
    kept.write_bytes(
        kept.read_bytes()[:1000]
    )  # a broken copy is made again, from the file that is still here
    kzoo.create_model("resnet20", pretrained="torchvision")
    assert Handler.asked == ["/resnet20.safetensors"] and kept.stat().st_size > 1000
    assert entry.preprocessing.resize == 36 and entry.labels is None
    assert kzoo.list_models("resnet*", pretrained=True) == ["resnet20"]


def test_weights_that_are_not_as_published_are_refused_and_not_kept(server):
    server(digest="sha256:00000000")
    with pytest.raises(
        ConnectionError, match=r"could not be downloaded, and nothing of it was kept.*altered"
    ):
        kzoo.create_model("resnet20", pretrained=True)
    assert not list(pretrained.cache_directory().rglob("*"))


def test_a_digest_that_the_publisher_does_not_give_is_asked_of_the_server(server, tmp_path):
    server(digest=None)
    with pytest.raises(ValueError, match=r"the server tells no digest of http.*Received: ''"):
        kzoo.create_model("resnet20", pretrained=True)
    content = (tmp_path / "served" / "resnet20.safetensors").read_bytes()
    md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    Handler.told = ["crc32c=AAAAAA==", "md5=" + "A" * 22 + "=="]
    with pytest.raises(ConnectionError, match="altered"):
        kzoo.create_model("resnet20", pretrained=True)
    Handler.told = ["crc32c=AAAAAA==", f"md5={md5}"]
    kzoo.create_model("resnet20", pretrained=True)
    assert Handler.asked == ["/resnet20.safetensors"] * 2


@pytest.mark.parametrize("source", ["timm", "keras"])
def test_a_server_that_is_not_there_is_named(server, source):
    if source == "timm":
        pytest.importorskip("huggingface_hub", reason="it asks for the digests of timm's files")
    url = "http://127.0.0.1:9/timm/resnet20/resolve/main/model.safetensors"  # the port that discards
    server(source=source, digest=None, url=url, builder="ResNet50")
    with pytest.raises(
        ConnectionError, match=r"the server does not tell what http://127.0.0.1:9/timm.* holds"
    ):
        kzoo.create_model("resnet20", pretrained=True)


def test_networks_trained_on_blue_green_red_take_red_green_blue(server):
    _, arrays = server(bgr=True)
    model = kzoo.create_model("resnet20", pretrained=True)
    kernel = keras.ops.convert_to_numpy(model.get_layer("stem_conv").kernel)
    np.testing.assert_array_equal(kernel, arrays["conv1.weight"].transpose(2, 3, 1, 0)[:, :, ::-1])


def told_elsewhere(row):
    """Whether the server of this file tells its digest."""
    return row.url.startswith(("https://huggingface.co/timm/", "https://storage.googleapis.com/"))


def test_the_table_names_real_models_and_whole_entries():
    rows = [row for model in kzoo.list_models(pretrained=True) for row in kzoo.weights.published(model)]
    assert len(rows) > 50
    for row in rows:
        assert row.url.startswith("https://") and row.source in ("torchvision", "timm", "keras")
        assert row.preprocessing.image_shape[2] == 3
        algorithm, _, digest = (row.digest or "").partition(":")
        if row.digest:
            assert len(digest) in {"sha256": (8, 64), "md5": (32,)}[algorithm], row
            assert set(digest) <= set("0123456789abcdef"), row
        else:
            assert told_elsewhere(row), row
        assert bool(row.builder) == (row.source == "keras")
    assert len(kzoo.weights.imagenet_labels()) == 1000
    best = kzoo.weights.published("resnet50")[0]
    assert (best.key, best.top1) == ("torchvision:IMAGENET1K_V1", 76.13)


def test_the_page_of_weights_is_what_the_tables_say(monkeypatch):
    root = Path(__file__).parents[2]
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    import weights_page

    text = (root / "docs" / "weights.md").read_text()
    assert text == weights_page.page(), "write it with `python benchmarks/published.py`"
    rows = [row for model in kzoo.list_models(pretrained=True) for row in kzoo.weights.published(model)]
    assert text.count("\n| ") == len(rows) + 2
