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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """The longest begin at once: with `--dist worksteal` the second of two workers starts in the middle."""
    longest = {"test_parity.py": 0, "test_parity_models.py": 1, "test_same_as_theirs.py": 1}
    rest = [item for item in items if item.path.name not in longest]
    first, second = ([item for item in items if longest.get(item.path.name) == i] for i in (0, 1))
    middle = (len(items) + 1) // 2 - len(first)
    items[:] = [*first, *rest[: max(0, middle)], *second, *rest[max(0, middle) :]]


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
