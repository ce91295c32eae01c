"""Which engine runs, what is imported, and what is said when something is missing."""

import os
import subprocess
import sys
import textwrap

import keras
import pytest

from kzoo import engine

ENGINE = keras.config.backend()
OTHERS = [name for name in engine.ENGINES if name != ENGINE]


def python(code, *arguments, **environment):
    """Runs code in a new interpreter and returns the finished process."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


HIDE = """
import importlib.util, sys
hidden = set(sys.argv[1].split(","))
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in hidden else find(name, *rest)
class Hide:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
"""


def test_only_the_chosen_engine_is_imported_also_after_a_whole_recipe():
    """Seeding, accelerating, fitting, resuming, evaluating, saving and drawing included."""
    done = python(
        """
        import sys
        from kzoo import recipes
        recipes.load("image_classification")(samples=40, epochs=1, batch_size=16, model="mlp_small")
        print(*[name for name in ("tensorflow", "torch", "jax") if name in sys.modules])
        """
    )
    # Keras (an Orbax callback) and TensorFlow (its converter) import JAX themselves wherever it is installed.
    assert {*done.stdout.splitlines()[-1].split()} - {"jax"} == {ENGINE} - {"jax"}, done.stderr


@pytest.mark.once
def test_no_engine_gives_an_error_that_names_the_three():
    done = python(HIDE + "import kzoo", "tensorflow,torch,jax", KERAS_BACKEND="")
    assert done.returncode != 0
    for extra in ("kzoo[tensorflow]", "kzoo[torch]", "kzoo[jax]"):
        assert extra in done.stderr


@pytest.mark.once
def test_a_missing_engine_names_its_extra_and_what_is_there():
    done = python(HIDE + "import kzoo", "torch", KERAS_BACKEND="torch")
    assert "kzoo[torch]" in done.stderr and "Installed: tensorflow, jax" in done.stderr


@pytest.mark.once
def test_without_a_choice_the_first_installed_engine_is_taken(tmp_path):
    code = HIDE + "import kzoo, keras; print(keras.config.backend())"
    done = python(code, "tensorflow,torch", KERAS_BACKEND="", KERAS_HOME=str(tmp_path), HOME=str(tmp_path))
    assert done.stdout.strip() == "jax", done.stderr


@pytest.mark.once
def test_a_missing_extra_is_named():
    with pytest.raises(ImportError, match=r"pip install 'kzoo\[recipes\]'"):
        engine.require("package_that_is_not_there", "recipes")


@pytest.mark.once
def test_importing_kzoo_costs_little_more_than_keras():
    """A guard against heavy imports, by what is imported rather than by the clock."""
    done = python(
        "import sys, keras; before = set(sys.modules); import kzoo; print(*sorted(set(sys.modules) - before))"
    )
    extra = [name for name in done.stdout.split() if not name.startswith("kzoo")]
    heavy = {
        "matplotlib",
        "sklearn",
        "PIL",
        "tensorflow",
        "onnx",
        "onnxruntime",
        "pandas",
        "rich.table",
        "keras_hub",
    }
    assert not heavy & {*extra, *[name.split(".")[0] for name in extra]}
    assert len(extra) < 40, extra


@pytest.mark.once
def test_engines_are_named_in_their_rooms_only():
    """What knows an engine lives in backend/, export/, serve/ and weights/."""
    import ast
    from pathlib import Path

    import kzoo

    package, found = Path(kzoo.__file__).parent, []
    for path in package.rglob("*.py"):
        if path.relative_to(package).parts[0] in ("backend", "export", "serve", "weights"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            elif isinstance(node, ast.Attribute) and node.attr == "src":
                modules = ["keras.src"]
            found += [
                f"{path.name}:{node.lineno} {module}"
                for module in modules
                if module.split(".")[0] in engine.ENGINES or module.startswith("keras.src")
            ]
    assert not found
