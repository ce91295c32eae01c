"""What the tests share: one process runs one engine, named by `KERAS_BACKEND`."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import pytest

import kzoo


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "once: does not depend on the engine of this process; `make test` runs it once"
    )


def pytest_collection_modifyitems(items):
    # The longest first: with two workers it would otherwise begin when there is nothing left to do beside it.
    items.sort(key=lambda item: item.path.name != "test_parity.py")


def pytest_report_header(config):
    return f"engine: {keras.config.backend()}"


@pytest.fixture(autouse=True)
def fresh_state(tmp_path, monkeypatch):
    """Each test starts from the same seed, leaves its runs in a folder of its own and takes float32 for granted."""
    monkeypatch.setenv("KZOO_RUNS", str(tmp_path / "runs"))
    kzoo.set_seed(0)
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
