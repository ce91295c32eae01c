"""Downloading against a server on this machine: what comes whole is kept, and nothing else ever is."""

import gzip
import hashlib
import http.server
import io
import pickle
import tarfile
import threading

import numpy as np
import pytest

from kzoo.data import fetch, load, published

pytestmark = pytest.mark.once

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server():
    """A server of `server.files`; what a name in `server.cut` maps to is how much of it is really sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.strip("/")
            if name not in self.server.files:
                self.send_error(404)
                return
            body = self.server.files[name]
            self.server.asked.append(name)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: self.server.cut.get(name, len(body))])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.files, running.cut, running.asked = {}, {}, []
        running.base = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no data folder."""
    monkeypatch.delenv("KZOO_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kzoo" / "data"


def described(*bases, name="blob.bin", content=CONTENT, packed=False):
    digest = hashlib.sha256(content).hexdigest()
    return fetch.File("set", name, f"sha256:{digest}", len(content), bases, packed)


def left_in(cache):
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


def test_a_file_is_downloaded_once_checked_and_kept(server, cache):
    server.files["blob.bin"] = CONTENT
    path = fetch.fetch(described(server.base))
    assert path == cache / "set" / "blob.bin"
    assert path.read_bytes() == CONTENT == fetch.read(described(server.base))
    assert server.asked == ["blob.bin"] and left_in(cache) == ["blob.bin"]


def test_the_content_of_a_packed_file_counts_not_its_packing(server, cache):
    server.files["blob.gz"] = gzip.compress(CONTENT, 1)
    assert fetch.read(described(server.base, name="blob.gz", packed=True)) == CONTENT
    server.files["blob.gz"] = gzip.compress(CONTENT, 9)
    (cache / "set" / "blob.gz").unlink()
    assert fetch.read(described(server.base, name="blob.gz", packed=True)) == CONTENT


def test_a_download_that_breaks_off_is_refused_and_leaves_nothing(server, cache):
    server.files["blob.bin"] = CONTENT
    server.cut["blob.bin"] = 1000
    with pytest.raises(ConnectionError, match=r"truncated: 1,000 of 1,024,000 bytes came"):
        fetch.fetch(described(server.base))
    assert left_in(cache) == []
    server.cut.clear()
    assert fetch.read(described(server.base)) == CONTENT


@pytest.mark.parametrize("body", [CONTENT[:-7], CONTENT[:-1] + b"!"], ids=["short", "altered"])
def test_a_download_with_other_content_is_refused_and_leaves_nothing(server, cache, body):
    server.files["blob.bin"] = body
    with pytest.raises(ConnectionError) as caught:
        fetch.fetch(described(server.base))
    message = str(caught.value)
    for part in (
        "blob.bin",
        hashlib.sha256(CONTENT).hexdigest(),
        hashlib.sha256(body).hexdigest(),
        "Run again",
    ):
        assert part in message
    assert left_in(cache) == []


def test_the_next_source_is_asked_when_one_fails(server, cache):
    server.files["good/blob.bin"] = CONTENT
    path = fetch.fetch(described(server.base, server.base + "/good"))
    assert path.read_bytes() == CONTENT


def test_a_missing_page_and_a_dead_server_are_both_named(server, cache):
    with pytest.raises(ConnectionError, match=r"HTTP 404.*refused"):
        fetch.fetch(described(server.base, "http://127.0.0.1:9"))
    assert left_in(cache) == []


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_file_that_is_here_is_refused_with_what_to_do(cache, damage, packed):
    file = described(name="blob.gz", packed=packed)
    whole = gzip.compress(CONTENT) if packed else CONTENT
    changed = gzip.compress(CONTENT[:-1] + b"!") if packed else CONTENT[:-1] + b"!"
    path = cache / "set" / "blob.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else changed)
    for call in (fetch.fetch, fetch.read):
        with pytest.raises(
            ValueError, match=rf"{path} is {damage}.*Delete it and run again.*Received: "
        ) as caught:
            call(file)
        assert hashlib.sha256(CONTENT).hexdigest() in str(caught.value)


def test_the_data_folder_is_read_before_the_cache_and_never_written(server, cache, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "blob.bin").write_bytes(CONTENT)
    monkeypatch.setenv("KZOO_DATA_DIR", str(folder))
    assert fetch.fetch(described(server.base)) == folder / "set" / "blob.bin"
    server.files["other.bin"] = CONTENT
    assert fetch.fetch(described(server.base, name="other.bin")) == cache / "set" / "other.bin"
    assert left_in(folder) == ["blob.bin"] and server.asked == ["other.bin"]


def test_a_data_folder_that_is_none_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("KZOO_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="KZOO_DATA_DIR must name a folder"):
        load("mnist")


def test_a_cache_that_cannot_be_written_is_said(server, tmp_path, monkeypatch):
    monkeypatch.delenv("KZOO_DATA_DIR", raising=False)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"the cache cannot be used: .*XDG_CACHE_HOME"):
        fetch.fetch(described(server.base))


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.asarray(array.shape, ">i4").tobytes()
    return head + array.astype("uint8").tobytes()


def test_a_set_in_mnists_format_is_downloaded_and_read(server, cache, monkeypatch):
    draw = np.random.default_rng(0)
    table, expected = {}, {}
    for part, n in (("train", 60), ("t10k", 20)):
        expected[part] = draw.integers(0, 256, (n, 28, 28)), np.arange(n) % 10
        for kind, array in zip(("images-idx3", "labels-idx1"), expected[part]):
            content = idx(array)
            server.files[f"{part}-{kind}-ubyte.gz"] = gzip.compress(content)
            table[f"{part}-{kind}-ubyte.gz"] = (hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setitem(published.IDX, "fashion_mnist", table)
    monkeypatch.setitem(published.BASES, "fashion_mnist", (server.base,))
    data = load("fashion_mnist", validation=0)
    assert data.image_shape == (28, 28, 1) and data.validation is None and data.labels[9] == "Ankle boot"
    np.testing.assert_array_equal(data.train[0][..., 0], expected["train"][0])
    np.testing.assert_array_equal(data.test[1], expected["t10k"][1])
    server.files.clear()
    assert len(load("fashion_mnist").train[1]) == 54  # from the cache, without the server


def cifar_archive(path, payload=None):
    """An archive laid out as the published one, with two images to a batch."""
    draw, batches = np.random.default_rng(0), []
    with tarfile.open(path, "w:gz") as archive:

        def add(name, content):
            data = pickle.dumps(content, protocol=3)
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))

        for i in range(6):
            batch = {"data": draw.integers(0, 256, (2, 3072)).astype("uint8"), "labels": [i, 9 - i]}
            add("test_batch" if i == 5 else f"data_batch_{i + 1}", payload if payload and i == 3 else batch)
            batches.append(batch)
        add("batches.meta", {"label_names": list(published.CIFAR10)})
    return batches


def serve_cifar(server, monkeypatch, tmp_path, payload=None):
    archive = tmp_path / "cifar-10-python.tar.gz"
    batches = cifar_archive(archive, payload)
    content = archive.read_bytes()
    server.files[archive.name] = content
    _, filename, _, _, *rest = published._load_cifar10.args
    md5 = f"md5:{hashlib.md5(content).hexdigest()}"
    load_small = lambda: published._cifar("cifar10", filename, md5, len(content), *rest)  # noqa: E731
    monkeypatch.setitem(published.BASES, "cifar10", (server.base,))
    monkeypatch.setitem(published.TABLE["cifar10"], "load", load_small)
    return batches


def test_cifar_is_downloaded_and_its_planes_become_pixels(server, cache, monkeypatch, tmp_path):
    batches = serve_cifar(server, monkeypatch, tmp_path)
    data = load("cifar10", validation=0)
    assert data.train[0].shape == (10, 32, 32, 3) and data.test[0].shape == (2, 32, 32, 3)
    first = batches[0]["data"][1]
    assert tuple(data.train[0][1, 5, 7]) == tuple(first[[5 * 32 + 7, 1024 + 5 * 32 + 7, 2048 + 5 * 32 + 7]])
    assert data.train[1].tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5] and data.labels == published.CIFAR10


class Harmful:
    """Unpickles by calling a function."""

    def __reduce__(self):
        return open, ("harmed", "w")


def test_a_pickle_in_cifar_that_wants_to_run_something_is_refused(server, cache, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    serve_cifar(server, monkeypatch, tmp_path, payload={"data": Harmful(), "labels": [0, 0]})
    with pytest.raises(pickle.UnpicklingError, match=r"Received: \w*io\.open"):
        load("cifar10")
    assert not (tmp_path / "harmed").exists()


def test_cifar10_says_which_copy_is_in_the_data_folder(server, cache, monkeypatch, tmp_path):
    folder = tmp_path / "mine" / "cifar10"
    folder.mkdir(parents=True)
    (folder / "cifar10_jpeg.npz").write_bytes(b"")
    monkeypatch.setenv("KZOO_DATA_DIR", str(folder.parent))
    monkeypatch.setitem(published.BASES, "cifar10", (server.base,))
    with pytest.raises(ConnectionError, match=r"full cifar10 is not in .*cifar10_jpeg.*HTTP 404"):
        load("cifar10")


def test_the_jpeg_copy_is_not_looked_for_elsewhere(cache):
    with pytest.raises(FileNotFoundError, match="has no public source: set KZOO_DATA_DIR"):
        load("cifar10_jpeg")
