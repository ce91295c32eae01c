"""A language model's run writes on from text: by name, by the command, and what it says of text that does not fit."""

import shutil
import subprocess
import sys

import keras
import pytest

from kzoo import cli, recipes
from kzoo.generation import text

TEXT = "the cat sat on the mat.\nna\u00efve caf\u00e9 \u2014 d\u00e9j\u00e0 vu!\n" * 60
SMALL = dict(steps=2, length=8, batch_size=2, dim=8, depth=1, num_heads=2, write=3)
pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of two short runs: by characters, and by pieces of words."""
    place = tmp_path_factory.mktemp("runs")
    (place / "cat.txt").write_text(TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KZOO_RUNS", str(place))
        main = recipes.load("language_model")
        for pieces in (None, 270):
            main(data=str(place / "cat.txt"), pieces=pieces, **SMALL)
    names = (f"cat-gpt-{keras.config.backend()}", f"cat-270_pieces-gpt-{keras.config.backend()}")
    return [place / "language_model" / name for name in names]


def test_a_run_leaves_what_it_writes_its_curve_and_its_vocabulary(runs):
    for folder in runs:
        left = {path.name for path in folder.iterdir()}
        assert {"model.keras", "card.json", "tokenizer.json", "written.txt", "curves.png"} <= left


def test_streamed_text_is_the_text_also_where_a_character_has_several_symbols(runs):
    for folder in runs:
        model, tokens = text.load(folder)
        options = dict(prompt="the caf\u00e9", count=40, temperature=1.0, seed=1)
        whole = text.write(model, tokens, **options)
        parts = list(text.stream_text(model, tokens, **options))
        assert "".join(parts) == whole and len(parts) > 5


def test_the_command_writes_on(runs, capsys):
    base = ["generate", str(runs[0]), "--prompt", "the cat", "--count", "9", "--top-k", "5", "--top-p", "0.9"]
    assert cli.main(base) == 0
    whole = capsys.readouterr().out
    assert whole.startswith("the cat") and len(whole) == len("the cat") + 9 + 1
    assert cli.main([*base, "--stream"]) == 0
    assert capsys.readouterr().out == whole


def test_the_command_reads_a_run_in_a_process_of_its_own(runs):
    command = [sys.executable, "-W", "ignore", "-m", "kzoo", "generate", str(runs[0]), "--count", "5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout) == 5 + 1  # a line's end is the prompt, and is not shown


def test_the_command_says_what_is_wrong_with_a_prompt_or_a_run(runs, tmp_path, capsys):
    mixed = tmp_path / "mixed"
    shutil.copytree(runs[0], mixed)
    shutil.copy(runs[1] / "tokenizer.json", mixed)
    for arguments, words in (
        ([runs[0], "--prompt", "the dog #1"], "characters outside the vocabulary of"),
        ([runs[0], "--prompt", ""], "a prompt must not be empty"),
        ([runs[0], "--prompt", "the cat sat on"], "longer than the 8 places that the model reads"),
        ([runs[0], "--prompt", "cat", "--temperature", "0", "--top-k", "3"], "give a temperature above 0"),
        ([mixed, "--prompt", "cat"], "the tokenizer and the model belong to different vocabularies"),
        ([tmp_path], "as kzoo run language_model leaves it"),
    ):
        assert cli.main(["generate", *map(str, arguments)]) == 1
        shown = capsys.readouterr().err
        assert words in " ".join(shown.split()) and "Traceback" not in shown, shown


def test_texts_that_cannot_be_learnt_are_told(tmp_path):
    main = recipes.load("language_model")
    for name, content, words in (
        ("empty.txt", b"", r"is empty: there must be some text"),
        ("latin.txt", "caf\u00e9 ol\u00e9".encode("latin-1"), r"UTF-8"),
        ("short.txt", b"to be or not", r"the text must be longer than a window"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=words):
            main(data=str(tmp_path / name), **SMALL)
    with pytest.raises(FileNotFoundError, match=r"no such text file.*tinyshakespear'"):
        main(data="tinyshakespear")
    with pytest.raises(ValueError, match=r"no model 'gtp': did you mean gpt"):
        main(model="gtp")
    (tmp_path / "cat.txt").write_text(TEXT)
    with pytest.raises(ValueError, match=r"vocabulary must have room for more than its special entries"):
        main(data=str(tmp_path / "cat.txt"), pieces=100, **SMALL)
