"""What the documentation shows is run, block after block, on the engine of this process."""

import re
from pathlib import Path

import keras
import pytest

import kzoo

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(
    "page", sorted(path.name for path in DOCS.glob("*.md") if "```python" in path.read_text())
)
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text()
    scope = {"__name__": "docs"}
    for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        line = text[: block.start()].count("\n") + 1
        exec(compile("\n" * line + block[1], page, "exec"), scope)


@pytest.mark.once
def test_links_and_names_of_the_pages_are_there():
    for page in DOCS.glob("*.md"):
        text = page.read_text()
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
        for path in set(re.findall(r"`((?:kzoo|keras)\.(?:[a-z_]+\.)*[A-Za-z0-9_]+)[`(]", text)):
            found = {"kzoo": kzoo, "keras": keras}[path.partition(".")[0]]
            for part in path.split(".")[1:]:
                assert hasattr(found, part), f"{page.name}: {path}"
                found = getattr(found, part)
