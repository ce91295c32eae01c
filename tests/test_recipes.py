"""Every recipe, cut short, in this process on this engine."""

import importlib
import inspect
import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest

from kzoo import recipes
from kzoo.models import catalog

ROOT = Path(__file__).parents[1]
FEW_NAMES = str(ROOT / "tests" / "scratch" / "few_names.txt")
FEW_REVIEWS = str(ROOT / "tests" / "text" / "few_reviews.tsv")
FEW = {
    name: str(ROOT / "tests" / "text" / f"few_{name}.{kind}")
    for name, kind in (
        ("pairs", "tsv"),
        ("entities", "conll"),
        ("questions", "json"),
        ("instructions", "json"),
    )
}
# What people said of words is asked for where it is.
JUDGED = {} if os.environ.get("KZOO_DATA_DIR") else dict(judged="", reviews=0)
# What makes each recipe quick; a recipe without an entry fails below.
SHORT = {
    "image_classification": [
        dict(samples=40, epochs=2, batch_size=16, model="mlp_small"),
        dict(samples=40, epochs=1, batch_size=16, model="cnn_small", shift=1, flip=True, optimizer="sgd"),
    ],
    "overfitting": [
        dict(
            data="digits",
            sizes="40",
            widths="4,8",
            repeats=2,
            epochs=2,
            batch_size=16,
            test_samples=40,
            methods=m,
        )
        for m in ("none,early_stopping", "dropout,augmentation")
    ],
    "transfer_learning": [
        dict(
            data="digits",
            source="digits",
            classes="5,6,7,8,9",
            source_classes="0,1,2,3,4",
            per_class="3",
            repeats=1,
            epochs=2,
            source_epochs=1,
            samples=40,
            batch_size=20,
        ),
    ],
    "data_size": [
        dict(
            data="digits",
            models="vit_tiny_patch16",
            sizes="20",
            repeats=1,
            steps=2,
            batch_size=20,
            test_samples=40,
        )
    ],
    "capsules": [dict(data="digits", kernel_size=2, shift=0, samples=40, epochs=1, batch_size=20)],
    "looking_inside": [dict(data="digits", samples=40, epochs=1, batch_size=20, points=12, steps=2)],
    "sharpness_aware": [
        dict(data="digits", model="mlp_small", samples=40, test_samples=40, seeds=2, epochs=2, batch_size=16),
    ],
    "optimizer_comparison": [
        dict(
            data="digits",
            samples=40,
            test_samples=40,
            epochs=1,
            batch_size=16,
            only="SAM(momentum),one-cycle",
        ),
    ],
    "architecture_comparison": [
        dict(data="digits", samples=40, epochs=2, batch_size=8, models="mlp_small,cnn_small"),
    ],
    "xor_by_hand": [dict(epochs=5, samples=40)],
    "mlp_by_hand": [dict(data="digits", samples=60, epochs=2, hidden_dim=16)],
    "cnn_by_hand": [dict(samples=40, epochs=1, filters=2)],
    "names_by_hand": [dict(data=FEW_NAMES, epochs=1, hidden_dim=8)],
    "names": [dict(data=FEW_NAMES, epochs=1, designs="mlp,gru")],
    "language_model": [
        dict(
            data=str(ROOT / "README.md"),
            samples=3000,
            steps=2,
            length=8,
            batch_size=2,
            dim=8,
            write=3,
            **more,
        )
        for more in (dict(depth=1, num_heads=2), dict(model="gru", depth=1, pieces=280))
    ],
    "word_vectors": [
        dict(data=str(ROOT / "README.md"), dim=8, minimum=3, epochs=1, batch_size=256, methods=m, **JUDGED)
        for m in ("skip_gram,cbow", "glove")
    ],
    "text_classification": [
        dict(data=FEW_REVIEWS, dim=8, epochs=1, batch_size=16, models="text_lstm,text_mean", longest=16),
    ],
    "fine_tuning": [dict(data=FEW_REVIEWS, encoder="bert_tiny", length=12, epochs=1, batch_size=16, seeds=1)],
    "question_answering": [
        dict(data=FEW["questions"], encoder="bert_tiny", length=32, stride=4, folds=2, epochs=1, batch_size=4)
    ],
    "named_entities": [dict(data=FEW["entities"], encoder="bert_tiny", length=12, epochs=1, batch_size=8)],
    "masked_language_model": [
        dict(data=str(ROOT / "README.md"), samples=40, model="bert_tiny", length=12, epochs=1, batch_size=19)
    ],
    "translation": [
        dict(data=FEW["pairs"], pieces=280, dim=8, depth=1, num_heads=2, epochs=1, batch_size=8, longest=12)
    ],
    "instruction_tuning": [
        dict(
            data=FEW["instructions"],
            sets=str(ROOT / "README.md"),
            samples=40,
            pieces=280,
            steps=2,
            dim=8,
            length=96,
            epochs=1,
            shown=1,
        )
    ],
    "autoencoders": [
        dict(data="digits", kinds="dense,sparse", latent_dim=4, samples=40, epochs=1, batch_size=20)
    ],
    "anomaly_detection": [dict(data="digits", classes="3", samples=60, epochs=1, batch_size=20)],
    "vae": [
        dict(
            data="digits",
            model="vae_dense",
            latent_dim=2,
            samples=40,
            epochs=1,
            batch_size=20,
            conditional=True,
        )
    ],
    "vq_vae": [
        dict(
            data="digits",
            num_codes=8,
            prior_epochs=1,
            prior_dim=8,
            prior_depth=1,
            drawn=4,
            samples=40,
            epochs=1,
            batch_size=20,
        )
    ],
    "gan": [
        dict(data="digits", kind=kind, samples=40, epochs=1, batch_size=4, judged=20)
        for kind in ("conditional", "wgan_gp")
    ],
    "diffusion": [
        dict(data="digits", epochs=1, batch_size=40, steps=3, judged=12, judge_epochs=1, samples=40)
    ],
    "latent_diffusion": [
        dict(
            data="digits",
            latent_dim=16,
            vae_epochs=1,
            epochs=1,
            filters=8,
            batch_size=40,
            steps=2,
            judged=12,
            judge_epochs=1,
            samples=40,
        )
    ],
    "generative_comparison": [
        dict(
            data="digits",
            vae_epochs=1,
            gan_epochs=1,
            diffusion_epochs=1,
            batch_size=40,
            judged=12,
            judge_epochs=1,
            samples=40,
        )
    ],
    "reinforce": [dict(steps=150, environments=2, episodes=2)],
    "actor_critic": [dict(steps=60, environments=2, episodes=2)],
    "a3c": [dict(steps=100, workers=1, episodes=2)],
    "ppo": [
        dict(steps=32, environments=2, length=8, epochs=1, minibatches=2, episodes=2, environment=name)
        for name in ("CartPole-v1", "InvertedPendulum-v5")
    ],
    "dqn": [dict(steps=60, begin=20, every=20, capacity=40, batch_size=4, episodes=2, prioritised=True)],
    "gradient_flow": [dict(width=8, depths="2,4", samples=16, seeds=1)],
    "regularizers_by_hand": [dict(data="digits", samples=40, epochs=1, hidden_dim=8, batch_size=20, seeds=1)],
    "optimizer_race": [dict(data="digits", samples=40, epochs=1, batch_size=16, hidden_dim=8, steps=10)],
}
BY_HAND = (
    "xor_by_hand",
    "mlp_by_hand",
    "cnn_by_hand",
    "names_by_hand",
    "gradient_flow",
    "optimizer_race",
    "regularizers_by_hand",
)  # recipes in NumPy, the same on every engine
CASES = [
    pytest.param(name, arguments, marks=[pytest.mark.once] if name in BY_HAND else [])
    for name, several in SHORT.items()
    for arguments in several
]


@pytest.fixture(autouse=True)
def few_blocks(monkeypatch):
    """The recipes' networks with fewer blocks: engines take their time to compile each."""
    for name, few in {
        "resnet20": dict(depths=(1, 1, 1)),
        "vit_tiny_patch16": dict(depth=2),
        "diffusion_unet_small": dict(multipliers=(1,), attention_levels=(), filters=8, groups=4),
    }.items():
        sizes = importlib.import_module(catalog.FAMILIES[catalog.family_of(name)]).SIZES
        monkeypatch.setitem(sizes, name, sizes[name] | few)


# The same for sizes that stand in a recipe: the name of a dictionary, and what of it is less.
OWN_SIZES = {
    "data_size": ("SMALLER", {"vit": dict(dim=24, depth=1, num_heads=3)}),
    "instruction_tuning": ("BLOCKS", dict(depth=1)),
}


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_recipe_runs_and_returns_figures(name, arguments, tmp_path, monkeypatch):
    main = recipes.load(name)
    if name in OWN_SIZES:
        sizes, few = OWN_SIZES[name]
        monkeypatch.setitem(main.__globals__, sizes, main.__globals__[sizes] | few)
    figures = main(**arguments)
    assert figures and all(
        isinstance(value, float | int) and np.isfinite(value) for value in figures.values()
    )
    (folder,) = (tmp_path / "runs" / name).iterdir()
    computed_by = "numpy" if name in BY_HAND else keras.config.backend()
    assert folder.name.endswith(computed_by)
    assert json.loads((folder / "card.json").read_text())["engine"] == computed_by
    if (folder / "model.keras").exists():
        assert keras.models.load_model(folder / "model.keras").count_params() > 0


@pytest.mark.skipif(
    keras.config.backend() != "torch", reason="a run is read alike on every engine, quickest on PyTorch"
)
def test_a_network_of_a_run_is_looked_into(tmp_path):
    small = dict(data="digits", samples=40, batch_size=20)
    recipes.load("image_classification")(model="resnet20", epochs=1, **small)
    (run,) = (tmp_path / "runs" / "image_classification").iterdir()
    figures = recipes.load("looking_inside")(trained=str(run), points=12, steps=2, **small)
    assert np.isfinite(list(figures.values())).all()


@pytest.mark.once
def test_every_recipe_is_here_is_short_and_documents_itself():
    found = recipes.find()
    assert set(found) == set(SHORT)
    for path in found.values():
        text = path.read_text()
        assert len(text.splitlines()) <= 150, path
        for word in ("Task", "Data", "Paper", "Command", "Score"):
            assert f"\n{word} " in text, f"{path.name}: its docstring lacks a line {word}"


@pytest.mark.once
def test_the_command_line_follows_from_the_signature():
    def main(a: int = 1, b: float = 0.5, c: str = "x", d: bool = True, e: int | None = None):
        """Does something."""

    parsed = vars(recipes.parser_of(main).parse_args(["--b", "2", "--no-d", "--e", "3"]))
    assert parsed == {"a": 1, "b": 2.0, "c": "x", "d": False, "e": 3}
    assert list(inspect.signature(main).parameters) == list(parsed)


@pytest.mark.once
def test_a_recipe_or_optimizer_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="did you mean image_classification"):
        recipes.load("image_clasification")
    with pytest.raises(ValueError, match=r"one of .*sgd.*Received: optimizer='adan'"):
        recipes.load("image_classification")(optimizer="adan")


@pytest.mark.once
def test_what_is_compared_is_made_for_the_size_of_the_images(monkeypatch):
    main = recipes.load("architecture_comparison")
    made = []
    monkeypatch.setitem(main.__globals__, "train", lambda name, *others: made.append(name) or 1 / 0)
    with pytest.raises(ZeroDivisionError):  # all were checked before the first is trained
        main(data="digits", models="resnet20,vit_tiny_patch16,googlenet")
    assert made == ["resnet20"]
    with pytest.raises(ValueError, match="did you mean googlenet"):
        main(data="digits", models="resnet20,gogglenet")
    assert made == ["resnet20"]
