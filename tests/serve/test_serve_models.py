"""Which versions are served: found, loaded, swapped, retired, and kept when their files go away."""

import shutil
import threading
import time

import pytest
from fakes import FakeVersion, publish, wait_until

from kzoo.serve import ServeError
from kzoo.serve.models import Models
from kzoo.serve.policy import parse_config

pytestmark = pytest.mark.once


@pytest.fixture
def logged():
    return []


@pytest.fixture
def start(tmp_path, logged):
    """Starts managers with fast polls and stops them at the end."""
    started = []

    def make(directory=tmp_path, config=None, load=FakeVersion):
        models = Models(
            directory, config, 0.02, load, lambda event, **known: logged.append({"event": event} | known)
        )
        models.start()
        started.append(models)
        return models

    yield make
    for models in started:
        models.stop()


def states(models, name="m"):
    return {number: state for number, state, _, _ in models.status(name)}


def test_the_newest_version_of_each_model_is_served(tmp_path, start):
    for name, number in (("a", 1), ("a", 10), ("a", 9), ("b", 3)):
        publish(tmp_path, name, number)
    models = start()
    assert models.names() == ["a", "b"] and models.ready
    assert models.available("a") == [10] and models.available("b") == [3]


def test_a_single_model_may_be_given_by_its_own_folder(tmp_path, start):
    publish(tmp_path, "digits", 1)
    models = start(tmp_path / "digits")
    assert models.names() == ["digits"]


def test_what_is_no_version_is_ignored(tmp_path, start):
    publish(tmp_path, "m", 2)
    for name in (".tmp-9", "latest", "-4", "3.5", "7", "\u0668"):  # the last is a digit, but no ASCII one
        (tmp_path / "m" / name).mkdir()
    (tmp_path / "m" / "latest" / "saved_model.pb").write_text("fine")
    (tmp_path / ".hidden" / "1").mkdir(parents=True)
    (tmp_path / ".hidden" / "1" / "saved_model.pb").write_text("fine")
    models = start()
    assert models.names() == ["m"] and states(models) == {2: "AVAILABLE"}


def test_a_new_version_takes_over_once_it_is_loaded_and_the_old_one_finishes_its_requests(tmp_path, start):
    publish(tmp_path, "m", 1)
    models = start()
    with models.use("m") as old:
        publish(tmp_path, "m", 2, "slow")
        assert wait_until(lambda: states(models).get(2) == "LOADING")
        with models.use("m") as now:
            assert now.number == 1  # the new one is not whole yet
        assert wait_until(lambda: states(models) == {1: "UNLOADING", 2: "AVAILABLE"})
        with models.use("m") as now:
            assert now.number == 2
        time.sleep(0.2)
        assert old.is_open
    assert wait_until(lambda: states(models)[1] == "END")
    assert not old.is_open
    with pytest.raises(ServeError, match="Specific"), models.use("m", 1):
        pass


def test_no_request_fails_and_none_meets_a_closed_version_while_versions_change(tmp_path, start):
    publish(tmp_path, "m", 1)
    models = start()
    seen, wrong, stopping = set(), [], threading.Event()

    def ask():
        while not stopping.is_set():
            try:
                with models.use("m") as version:
                    if not version.is_open:
                        wrong.append(version.number)
                    time.sleep(0.001)
                    if not version.is_open:
                        wrong.append(version.number)
                    seen.add(version.number)
            except ServeError as error:
                wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(2, 12):
        publish(tmp_path, "m", number)
        assert wait_until(lambda number=number: models.available("m") == [number])
    assert wait_until(lambda: 11 in seen)
    stopping.set()
    for thread in threads:
        thread.join()
    assert not wrong and max(seen) == 11 and len(seen) > 3


def test_a_broken_version_is_reported_and_the_old_one_goes_on_until_it_is_mended(tmp_path, start, logged):
    publish(tmp_path, "m", 1)
    models = start()
    broken = publish(tmp_path, "m", 2, "broken")
    assert wait_until(lambda: states(models).get(2) == "END")
    assert models.status("m", 2) == [(2, "END", "DATA_LOSS", "the file is broken")]
    with models.use("m") as version:
        assert version.number == 1
    time.sleep(0.2)
    assert [one["version"] for one in logged if one["event"] == "load_failed"] == [2]  # not again and again
    (broken / "saved_model.pb").write_text("mended")
    assert wait_until(lambda: models.available("m") == [2])


def test_a_server_that_starts_beside_a_broken_newest_version_serves_the_one_before(tmp_path, start):
    publish(tmp_path, "m", 1)
    publish(tmp_path, "m", 2, "broken")
    models = start()
    assert models.available("m") == [1] and models.ready


def test_a_directory_that_is_removed_keeps_its_loaded_version(tmp_path, start):
    publish(tmp_path, "m", 1)
    publish(tmp_path, "m", 2)
    models = start()
    shutil.rmtree(tmp_path / "m" / "2")
    time.sleep(0.2)
    assert models.available("m") == [2]
    shutil.rmtree(tmp_path / "m")
    time.sleep(0.2)
    with models.use("m") as version:
        assert version.number == 2 and version.is_open
    publish(tmp_path, "m", 3)
    assert wait_until(lambda: models.available("m") == [3])


def test_a_model_that_comes_later_is_served(tmp_path, start):
    models = start()
    assert not models.ready and models.names() == []
    publish(tmp_path, "late", 1)
    assert wait_until(lambda: models.ready)


def test_unknown_models_versions_labels_and_paths_are_not_found(tmp_path, start):
    publish(tmp_path, "m", 1)
    models = start()
    for name in ("nope", "..", "../m", "/etc", "m/1", "\x00", "m\n"):
        with pytest.raises(ServeError) as caught, models.use(name):
            pass
        assert caught.value.code == "NOT_FOUND"
        with pytest.raises(ServeError, match="Could not find"):
            models.status(name)
    for arguments, code in (((-1,), "NOT_FOUND"), ((2,), "NOT_FOUND"), ((None, "x"), "INVALID_ARGUMENT")):
        with pytest.raises(ServeError) as caught, models.use("m", *arguments):
            pass
        assert caught.value.code == code
    with pytest.raises(ServeError) as caught, models.use(""):
        pass
    assert caught.value.code == "INVALID_ARGUMENT"


def config(tmp_path, policy="", labels="", name="m"):
    return f"""
model_config_list {{
  config {{
    name: "{name}" base_path: "{tmp_path / "m"}" model_platform: "tensorflow"
    {policy} {labels}
  }}
}}"""


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", [4]),
        ("model_version_policy { latest { num_versions: 2 } }", [3, 4]),
        ("model_version_policy { specific { versions: 1 versions: 3 } }", [1, 3]),
        ("model_version_policy { all {} }", [1, 3, 4]),
    ],
    ids=["default", "latest 2", "specific", "all"],
)
def test_the_version_policies_of_a_configuration(tmp_path, start, policy, served):
    for number, text in ((1, "fine"), (2, "broken"), (3, "fine"), (4, "fine")):
        publish(tmp_path, "m", number, text)
    file = tmp_path / "models.config"
    file.write_text(config(tmp_path, policy))
    assert start(None, file).available("m") == served


def test_labels_name_versions_and_move_when_the_file_changes(tmp_path, start, logged):
    publish(tmp_path, "m", 1)
    publish(tmp_path, "m", 2)
    everything = "model_version_policy { all {} }"
    file = tmp_path / "models.config"
    file.write_text(config(tmp_path, everything, 'version_labels { key: "stable" value: 1 }'))
    models = start(tmp_path, file)
    with models.use("m", label="stable") as version:
        assert version.number == 1
    file.write_text("this is { no configuration")
    assert wait_until(lambda: any(one["event"] == "config_refused" for one in logged))
    assert models.labels("m") == {"stable": 1}
    file.write_text(config(tmp_path, everything, 'version_labels { key: "stable" value: 2 }'))
    assert wait_until(lambda: models.labels("m") == {"stable": 2})
    assert models.status("m", label="stable")[0][0] == 2


def test_a_base_path_of_a_container_is_looked_for_in_the_directory(tmp_path, start):
    publish(tmp_path, "m", 1)
    file = tmp_path / "models.config"
    file.write_text('model_config_list { config { name: "m" base_path: "/no/such/models/m" } }')
    assert start(tmp_path, file).available("m") == [1]


def test_reload_changes_what_is_served_and_says_what_is_wrong(tmp_path, start):
    publish(tmp_path, "m", 1)
    publish(tmp_path, "other", 1)
    publish(tmp_path, "bad", 1, "broken")
    models = start()
    models.reload(parse_config(config(tmp_path, labels='version_labels { key: "canary" value: 1 }')))
    assert models.available("m") == [1] and models.available("other") == []
    assert wait_until(lambda: models.names() == ["m"])
    for text, code in (
        (config(tmp_path, "model_version_policy { specific { versions: 7 } }"), "UNKNOWN"),
        (config(tmp_path, labels='version_labels { key: "canary" value: 9 }'), "FAILED_PRECONDITION"),
        (config(tmp_path / "nowhere", name="absent"), "INVALID_ARGUMENT"),
        (config(tmp_path, name="../m"), "INVALID_ARGUMENT"),
        (f'model_config_list {{ config {{ name: "bad" base_path: "{tmp_path / "bad"}" }} }}', "UNKNOWN"),
    ):
        with pytest.raises(ServeError) as caught:
            models.reload(parse_config(text))
        assert caught.value.code == code
    with pytest.raises(ServeError):
        models.reload(parse_config("custom_model_config {}"))


def test_a_directory_or_configuration_that_makes_no_sense_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Received: .*nowhere"):
        Models(tmp_path / "nowhere")
    publish(tmp_path, "m", 1)
    with pytest.raises(ValueError, match="kzoo publish"):
        Models(tmp_path / "m" / "1")
    file = tmp_path / "models.config"
    file.write_text("model_config_list { config { nome: 3 } }")
    with pytest.raises(ValueError, match=r"Received: .*models\.config"):
        Models(None, file)
