"""A training that is killed goes on where its last checkpoint was, with the numbers of one that was not."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import interrupted
import numpy as np
import pytest
import toys

from kzoo import rl
from kzoo.rl import states
from kzoo.rl.loops import REPLAY
from kzoo.rl.wrappers import make


def kill_after_a_checkpoint(kind, folder, out):
    """Starts the training in a process and kills it once a checkpoint is there."""
    command = [sys.executable, "-W", "ignore", interrupted.__file__, kind, str(folder), str(out)]
    process = subprocess.Popen(command)
    limit = time.time() + 200
    while not list(Path(folder).glob("step-*")) and process.poll() is None and time.time() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(Path(folder).glob("step-*"))


@pytest.mark.parametrize("kind", ("ppo", "dqn"))
def test_killed_and_resumed_the_curve_is_that_of_an_uninterrupted_run(kind, tmp_path):
    folder = tmp_path / "resume"
    kill_after_a_checkpoint(kind, folder, tmp_path / "out.json")
    whole = interrupted.train(kind)
    (kept,) = folder.glob("step-*")
    begun = json.loads((kept / "training.json").read_text())["state"]["learned"]
    resumed = interrupted.train(kind, folder)
    assert begun > 0 and resumed[0] == whole[0]
    np.testing.assert_allclose(resumed[1], whole[1], rtol=1e-6)
    assert len(whole[0]) == 10 and whole[0][-1]["steps"] == interrupted.STEPS


@pytest.mark.once
def test_a_checkpoint_whose_replay_buffer_is_cut_off_is_refused(tmp_path):
    loop = interrupted.loop_of("dqn")
    for _ in range(30):
        loop.advance()
    rl.Checkpoints(tmp_path / "resume").save(loop, [])
    (kept,) = (tmp_path / "resume").glob("step-*")
    content = (kept / REPLAY).read_bytes()
    (kept / REPLAY).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="cut off, it is not used"):
        rl.train(interrupted.loop_of("dqn"), 100, folder=tmp_path / "resume")


@pytest.mark.once
def test_what_was_left_half_written_is_passed_over_and_another_configuration_starts_anew(tmp_path):
    folder, loop = tmp_path / "resume", interrupted.loop_of("dqn")
    for _ in range(5):
        loop.advance()
    rl.Checkpoints(folder, {"a": 1}).save(loop, [{"steps": 10, "seconds": 1.0}])
    shutil.copytree(folder / "step-000000000010", folder / ".step-000000000099")
    (folder / ".step-000000000099" / "training.json").unlink()
    fresh = interrupted.loop_of("dqn")
    assert rl.Checkpoints(folder, {"a": 1}).restore(fresh) == [{"steps": 10, "seconds": 1.0}]
    assert fresh.steps == 10 and len(fresh.replay) == len(loop.replay)
    with pytest.warns(UserWarning, match="another configuration"):
        assert rl.Checkpoints(folder, {"a": 2}).restore(interrupted.loop_of("dqn")) == []


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CartPole-v1", {}),
        ("HalfCheetah-v5", {"normalise": True}),
        ("Hopper-v5", {"normalise": True}),
        ("ALE/Pong-v5", {}),
    ],
)
def test_an_environments_state_is_taken_out_and_put_back(name, options):
    pytest.importorskip({"C": "pygame", "A": "ale_py"}.get(name[0], "mujoco"))
    first, second = (rl.Environments(name, 1, seed=seed, **options) for seed in (3, 4))
    rng = np.random.default_rng(0)

    def act():
        if first.continuous:
            return rng.normal(size=(1, first.num_actions)).astype("float32")
        return rng.integers(0, first.num_actions, 1)

    for _ in range(12):
        first.step(act())
    arrays = {}
    state = json.loads(json.dumps(rl.training._packed(first.state(), arrays)))
    second.restore(rl.training._unpacked(state, arrays))
    for _ in range(60):  # over the end of an episode of CartPole, and into the next
        actions = act()
        ours, theirs = first.step(actions), second.step(actions)
        for a, b in zip(ours, theirs):
            np.testing.assert_array_equal(a, b)
    assert first.episodes == second.episodes and first.steps == second.steps


@pytest.mark.once
def test_of_an_unknown_environment_no_state_is_kept():
    assert states.state_of(toys.Corridor(ends=3)) is None
    assert states.state_of(make("CartPole-v1")) is not None
