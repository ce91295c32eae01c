"""Fixtures of the tests of serving."""

import shutil

import grpc
import httpx
import numpy as np
import pytest
from filelock import FileLock
from launched import Launched, make_models

from kzoo.serve import Client
from kzoo.serve.protocol import prediction_service_pb2_grpc


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


@pytest.fixture(scope="module")
def reference(made):
    kept = np.load(made / "reference.npz", allow_pickle=True)
    return (
        {key[3:]: kept[key] for key in kept if key.startswith("in_")},
        {key[4:]: kept[key] for key in kept if key.startswith("out_")},
    )


@pytest.fixture(scope="module", params=["rest", "grpc"])
def client(request, server):
    address = server.rest if request.param == "rest" else server.grpc
    with Client(address, protocol=request.param, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def web(server):
    with httpx.Client(base_url=server.rest, timeout=30, trust_env=False) as web:
        yield web


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
