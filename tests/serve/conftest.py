"""Fixtures of the tests of serving."""

import shutil

import pytest
from filelock import FileLock
from launched import Launched, make_models


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The folder that `make_models.py` writes; all the processes of a test run share one."""
    shared = tmp_path_factory.getbasetemp().parent / "kzoo-serve-models"
    with FileLock(f"{shared}.lock"):
        if not (shared / "reference.npz").is_file():
            shutil.rmtree(shared, ignore_errors=True)
            make_models(shared)
    return shared


@pytest.fixture(scope="session")
def server(made):
    """A server of all the models, which tests ask but do not change."""
    launched = Launched(made / "served")
    yield launched
    assert launched.stop() == 0
