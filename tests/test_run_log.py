"""Run logs: written line by line, read after a kill, listed and compared by `kzoo runs`."""

import json
import os

import keras
import numpy as np
import pytest

from kzoo import cli, runlog
from kzoo.callbacks import RunLog
from kzoo.runs import Run


def train(folder, epochs=2, **configuration):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="line")
    model.compile("sgd", "mse")
    log = RunLog(folder, {"seed": 3, **configuration}, recipe="toy")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=epochs, callbacks=[log], verbose=0)
    return log


def test_a_log_holds_how_it_began_each_epoch_and_how_it_ended(tmp_path):
    train(tmp_path / "a", rate=0.1).end({"accuracy": np.float32(0.5), "epochs": 2})
    lines = [json.loads(line) for line in (tmp_path / "a" / "run.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "epoch", "epoch", "end"]
    start = lines[0]
    assert start["seed"] == 3 and start["configuration"]["rate"] == 0.1 and start["recipe"] == "toy"
    assert start["engine"] == keras.config.backend() and start["versions"]["keras"] == keras.__version__
    assert start["git"] is None or len(start["git"]["commit"]) == 40
    assert lines[1]["epoch"] == 1 and lines[1]["model"] == "line" and lines[1]["logs"]["loss"] > 0
    assert lines[-1]["figures"] == {"accuracy": 0.5, "epochs": 2}


def test_a_run_that_goes_on_counts_the_time_before_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setenv("KZOO_RUNS", str(tmp_path))
    first = Run("toy", "a", {"rate": 1, "sizes": (1, 2)})
    assert first.seconds < 10
    started = json.loads(first.log.path.read_text().splitlines()[0])
    later = np.datetime64(started["time"][:19]) + np.timedelta64(100, "s")
    line = {
        "event": "epoch",
        "epoch": 1,
        "time": f"{later}{started['time'][19:]}",
        "seconds": 100,
        "logs": {},
    }
    with open(first.log.path, "a") as file:
        file.write(json.dumps(line) + "\n")
    again = Run("toy", "a", {"rate": 1, "sizes": (1, 2)})
    assert 100 <= again.seconds < 110
    assert Run("toy", "a", {"rate": 2, "sizes": (1, 2)}).seconds < 10  # another configuration begins anew
    again.log.end({})
    assert Run("toy", "a", {"rate": 1, "sizes": (1, 2)}).seconds < 10


def test_a_killed_run_is_stopped_and_its_whole_lines_count(tmp_path):
    log = train(tmp_path / "b")
    with open(log.path, "a") as file:
        file.write('{"event": "epoch", "epo')  # a kill in the middle of a line
    (run,) = runlog.read(tmp_path)
    assert run.status == "running" and len(run.epochs) == 2 and run.figures == run.epochs[-1]["logs"]
    lines = log.path.read_text().replace(f'"process": {os.getpid()}', '"process": 999999999')
    log.path.write_text(lines)
    (run,) = runlog.read(tmp_path)
    assert run.status == "stopped" and run.end is None


def test_a_run_started_again_is_another_run_of_its_name(tmp_path):
    train(tmp_path / "c").end({"loss": 1.0})
    train(tmp_path / "c", epochs=1)
    first, second = runlog.read(tmp_path)
    assert (first.status, first.again, len(first.epochs)) == ("finished", 0, 2)
    assert (second.again, len(second.epochs)) == (1, 1)


@pytest.mark.once
def test_runs_are_listed_sorted_and_compared(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    train(tmp_path / "slow", rate=0.1, width=8).end({"accuracy": 0.5})
    train(tmp_path / "fast", rate=0.3, width=8).end({"accuracy": 0.75})
    assert cli.main(["runs", "--folder", str(tmp_path), "--sort", "accuracy"]) == 0
    listed = capsys.readouterr().out
    assert listed.index("fast") < listed.index("slow") and "finished" in listed and "accuracy 0.75" in listed
    assert cli.main(["runs", "slow", "fast", "--folder", str(tmp_path)]) == 0
    compared = capsys.readouterr().out
    assert "rate" in compared and "0.1" in compared and "0.3" in compared and "width" not in compared
    for wrong, message in [(["fats"], "did you mean fast"), (["--sort", "acuracy"], "did you mean accuracy")]:
        assert cli.main(["runs", *wrong, "--folder", str(tmp_path)]) == 1
        assert message in " ".join(capsys.readouterr().err.split())
    assert cli.main(["runs", "--folder", str(tmp_path / "none")]) == 1
    assert "no run has left a log" in capsys.readouterr().err


def test_a_recipe_s_run_keeps_a_log(tmp_path):
    run = Run("toy", "data-engine", {"seed": 1})
    run.finish(figures={"accuracy": 0.25})
    (read,) = runlog.read(tmp_path / "runs")
    assert read.name == "toy/data-engine" and read.figures == {"accuracy": 0.25} and read.status == "finished"
