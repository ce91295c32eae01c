"""`kzoo benchmark`: every artefact measured in a process of its own, judged, tabled and drawn."""

import argparse
import json
import os
import signal
import time

import keras
import pytest

pytest.importorskip("PIL.Image")
pytest.importorskip("sklearn")
pytest.importorskip("ai_edge_litert")

from kzoo.data import Preprocessing, load
from kzoo.export import apart, commands, speed
from kzoo.export.archive import save
from kzoo.export.report import Artefact
from kzoo.export.speed import BROKEN, DIFFERS, RIGHT, UNPROVEN, Benchmark, Row, benchmark

pytestmark = pytest.mark.once


def digits_run(folder):
    """A run folder whose model tells digits better than by chance."""
    data = load("digits", validation=0)
    prepare = Preprocessing.fit(data.train[0])
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8, 8, 1), name="image"), keras.layers.Flatten()])
    model.add(keras.layers.Dense(64, "relu"))  # weights enough for int8 to bother
    model.add(keras.layers.Dense(10, name="head"))
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(prepare(data.train[0]), data.train[1], batch_size=64, epochs=3, verbose=0)
    folder.mkdir()
    save(model, folder / "model.keras")
    card = {
        "data": "digits",
        "labels": list(data.labels),
        "preprocessing": prepare.to_dict(),
        "outputs": "logits",
    }
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What the command leaves for two formats."""
    folder = tmp_path_factory.mktemp("speed")
    command = argparse.ArgumentParser()
    run = commands.benchmark(command)
    formats = [
        "--formats",
        "onnx,tflite_dynamic_int8",
        "--seconds",
        "0.1",
        "--samples",
        "100",
        "--batch",
        "8",
    ]
    assert not run(
        command.parse_args([str(digits_run(folder / "run")), "--out", str(folder / "out"), *formats])
    )
    return folder / "out", json.loads((folder / "out" / "benchmark.json").read_text())


def test_every_format_has_its_figures(measured):
    _, saved = measured
    assert [row["format"] for row in saved["rows"]] == ["keras", "onnx", "tflite_dynamic_int8"]
    assert (saved["threads"], saved["batch"], saved["data"], saved["examples"]) == (1, 8, "digits", 100)
    for row in saved["rows"]:
        assert row["status"] == RIGHT, row
        assert 0 < row["p50_ms"] <= row["p95_ms"] and row["throughput"] > 0 and row["bytes"] > 500
        assert row["accuracy"] > 0.6
    baseline, onnx, int8 = saved["rows"]
    assert baseline["difference"] == 0 and onnx["difference"] <= 1e-5 < int8["difference"]
    assert onnx["accuracy"] == baseline["accuracy"] and int8["bytes"] < 0.7 * onnx["bytes"]


def test_memory_is_that_of_a_process_with_the_artefact_alone(measured):
    baseline, onnx, int8 = measured[1]["rows"]
    assert 20 < onnx["memory_mb"] < 0.6 * baseline["memory_mb"], "no engine and no Keras in it"
    assert 20 < int8["memory_mb"] < 0.6 * baseline["memory_mb"]


def test_artefacts_and_a_picture_stay_where_they_were_asked_for(measured):
    from PIL import Image

    out, _ = measured
    assert {"model.onnx", "model.dynamic_int8.tflite", "benchmark.json", "benchmark.png"} <= {
        p.name for p in out.iterdir()
    }
    with Image.open(out / "benchmark.png") as picture:
        assert picture.width > 1000 and len(picture.convert("RGB").getcolors(1 << 24)) > 10


@pytest.fixture
def bench(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    return speed._Bench(model, model, None, tmp_path, 1, 8, 0.1, max_drop=0.01)


FIGURES = dict(p50_ms=1.0, p95_ms=2.0, throughput=3.0, memory_mb=4.0, load_s=5.0)


@pytest.mark.parametrize(
    ("form", "figures", "status", "words"),
    [
        ("onnx", dict(difference=1e-6), RIGHT, ""),
        ("onnx", dict(difference=1e-4), DIFFERS, "1e-05 is allowed"),
        ("onnx", dict(difference=float("nan")), DIFFERS, "NaN"),
        ("tflite_int8", dict(difference=0.5, accuracy=0.895), RIGHT, ""),
        ("tflite_int8", dict(difference=0.5, accuracy=0.88), DIFFERS, "more than 1%"),
        ("tflite_int8", dict(difference=0.5), DIFFERS, "allowed"),
        ("onnx", dict(difference=1e-4, accuracy=0.9), DIFFERS, "allowed"),
    ],
)
def test_an_artefact_is_judged_by_what_its_format_promises(bench, form, figures, status, words):
    artefact = Artefact(form, "somewhere", 10, 1.0, 0.0, 1.0, "passed")
    found = {**FIGURES, "accuracy": None, **figures}
    row = bench.judge(artefact, found, Row("keras", RIGHT, accuracy=0.9))
    assert row.status == status and words in row.message and row.bytes == 10 and row.p50_ms == 1.0


def test_what_failed_and_what_cannot_run_here_are_rows_too(bench):
    failed = Artefact("tflite", None, 0, 1.0, None, 1.0, "failed", "no such operator")
    row = bench.judge(failed, bench.measured(failed, lambda line: None), Row("keras", RIGHT))
    assert (row.status, row.message, row.bytes, row.p50_ms) == (BROKEN, "no such operator", None, None)
    unproven = Artefact("coreml", "somewhere", 10, 1.0, None, 1.0, "unproven", "numbers unproven off macOS")
    row = bench.judge(unproven, {}, Row("keras", RIGHT))
    assert row.status == UNPROVEN and row.bytes == 10


def test_full_int8_without_data_is_a_row_that_says_why(bench, tmp_path):
    (artefact,) = bench.export(("tflite_int8",), tmp_path, 0, lambda line: None)
    row = bench.judge(artefact, bench.measured(artefact, lambda line: None), Row("keras", RIGHT))
    assert row.status == BROKEN and "takes its ranges from a data set" in row.message


def test_a_table_and_a_picture_show_every_kind_of_row(tmp_path):
    rows = [
        Row("keras", RIGHT, 10**6, **FIGURES, difference=0.0),
        Row("onnx", RIGHT, 10**6, **FIGURES, difference=1e-7),
        Row("tflite_int8", DIFFERS, 10**5, **FIGURES, difference=0.3, message="5e-02 is allowed"),
        Row("tflite", BROKEN, message="no such operator"),
        Row("coreml", UNPROVEN, 10**6, message="numbers unproven off macOS"),
    ]
    result = Benchmark("net", "jax", rows, 1, 32, None, 0, "a machine, 2 cores", {}, ["no accuracy: why"])
    text = str(result)
    for words in (
        "net from jax",
        "differs: 5e-02",
        "failed: no such",
        "unproven",
        "1 thread",
        "no accuracy: why",
    ):
        assert words in text
    result.draw(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "options", [dict(threads=0), dict(threads=999), dict(batch=0), dict(seconds=0), dict(formats=("onix",))]
)
def test_bad_requests_are_refused(options):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="Received: "):
        benchmark(model, **options)
    with pytest.raises(ValueError, match=r"without a card.*Received: 'digits'"):
        benchmark(model, formats=("onnx",), data="digits")


CHILD = """
import os, signal, sys, time
from kzoo.export import apart

def main(job, progress):
    progress("begun")
    print("chatter on standard output")
    if job["do"] == "die":
        sys.stderr.write("about to die\\n"); sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    if job["do"] == "hang":
        open(job["pid"], "w").write(str(os.getpid()))
        time.sleep(600)
    if job["do"] == "fail":
        raise ValueError("no good. Received: " + job["do"])
    return {"keras": "keras" in sys.modules, "mark": os.environ["MARK"]}

if __name__ == "__main__":
    apart.run(main)
"""


@pytest.fixture
def child(tmp_path, monkeypatch):
    (tmp_path / "child_of_test.py").write_text(CHILD)
    monkeypatch.syspath_prepend(tmp_path)

    def ask(timeout=60.0, **job):
        lines = []
        result = apart.call("child_of_test", job, tmp_path, timeout, lines.append, bare=True, MARK="here")
        assert lines == ["begun"]
        return result

    return ask


def test_a_process_of_its_own_answers_and_imports_nothing_unasked(child):
    assert child(do="answer") == {"keras": False, "mark": "here"}


def test_a_process_that_fails_dies_or_hangs_is_told(child, tmp_path):
    with pytest.raises(apart.ApartError, match=r"no good\. Received: fail"):
        child(do="fail")
    with pytest.raises(apart.ApartError, match=r"killed by SIGKILL.*about to die"):
        child(do="die")
    start = time.monotonic()
    with pytest.raises(apart.ApartError, match="stopped after 1 s"):
        child(timeout=1.0, do="hang", pid=str(tmp_path / "pid"))
    assert time.monotonic() - start < 30


def test_a_process_of_its_own_ends_with_its_caller(tmp_path):
    import subprocess
    import sys
    from pathlib import Path

    (tmp_path / "child_of_test.py").write_text(CHILD)
    code = (
        "import sys; from kzoo.export import apart\n"
        f"apart.call('child_of_test', {{'do': 'hang', 'pid': {str(tmp_path / 'pid')!r}}}, sys.argv[1], 60, bare=True)"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    caller = subprocess.Popen([sys.executable, "-c", code, tmp_path], env=os.environ | {"PYTHONPATH": path})
    pid, deadline = tmp_path / "pid", time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    number = int(pid.read_text())
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    status = Path("/proc", str(number), "status")
    while status.exists() and "Z (zombie)" not in status.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not status.exists() or "Z (zombie)" in status.read_text()
