"""What the README shows works as it stands there."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

ROOT = Path(__file__).parents[1]


def test_the_learner_of_the_readme_trains():
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    definition, use = code.split("\n\nwgan.compile")
    names = {}
    exec(definition, names)
    generator = keras.Sequential([keras.Input((64,)), layers.Dense(48), layers.Reshape((4, 4, 3))])
    critic = keras.Sequential(
        [keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(8, "tanh"), layers.Dense(1)]
    )
    names |= {
        "wgan": names["WGAN"](generator, critic),
        "images": np.random.default_rng(0).normal(size=(64, 4, 4, 3)).astype("float32"),
    }
    exec("wgan.compile" + use.replace("epochs=10", "epochs=2, verbose=0"), names)
    history = names["wgan"].history.history
    assert len(history["critic_loss"]) == 2 and np.isfinite(history["critic_loss"]).all()


@pytest.mark.once
def test_the_commands_of_the_readme_exist():
    from kzoo.cli import _COMMANDS

    text = (ROOT / "README.md").read_text()
    assert {name for name in re.findall(r"^kzoo ([\w-]+)", text, re.M)} == set(_COMMANDS)


@pytest.mark.once
def test_tables_of_figures_are_those_that_were_measured():
    import sys

    sys.path.insert(0, str(ROOT / "benchmarks"))
    import readme
    import results

    text, figures = (ROOT / "README.md").read_text(), results.read()
    assert readme.filled(text, figures) == text
    assert readme.table(figures) in (ROOT / "RESULTS.md").read_text()
    assert set(readme.HIGHLIGHTS) <= set(figures)
    with pytest.raises(ValueError, match="marks of 'highlights' once"):
        readme.filled(text.replace("<!-- highlights -->", ""), figures)
