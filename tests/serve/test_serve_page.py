"""The page at `/` in a headless Chromium: samples, uploads, errors in words, narrow, dark and without a mouse."""

import contextlib
import json

import pytest
from browser import PROGRAM, Browser
from fakes import FakeVersion, publish

from kzoo.serve import Server, page

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed: apt-get install chromium"),
]

ANSWER = "!document.querySelector('#bars').hidden && [...document.querySelectorAll('#bars li')].map(li => li.innerText)"
ERROR = "!document.querySelector('#error').hidden && document.querySelector('#error').innerText"

# The contrast of every text with what is behind it, by the formula of the Web Content Accessibility Guidelines.
CONTRASTS = """
(() => {
  const channel = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
    return .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  };
  const behind = node => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (!/, 0\\)$/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  document.querySelector('#error').hidden = false;
  document.querySelector('#error').textContent = "an error";
  const texts = 'h1, h2, h3, p, label, span, strong, td, th, code, .name, .score';
  return [...document.querySelectorAll(texts)]
    .filter(node => node.offsetParent && node.innerText.trim())
    .map(node => {
      const pair = [light(getComputedStyle(node).color), light(behind(node))];
      return [(Math.max(...pair) + .05) / (Math.min(...pair) + .05), node.innerText];
    });
})()
"""


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def opened(browser, server):
    browser.events.clear()
    browser.size(1000, 900)
    browser.open(f"{server.rest}/")
    browser.wait("document.querySelectorAll('#sample-list img[src]').length === 3")
    return browser


def choose_sample(browser, name):
    browser.run(f"document.querySelector('#samples button[title={json.dumps(name)}]').click()")


def test_it_shows_the_models_and_what_a_sample_is(opened, tmp_path):
    rows = opened.run("[...document.querySelectorAll('#models tbody tr')].map(row => row.innerText)")
    assert len(rows) == 4 and "serving_default" in rows[0]
    for name in ("dark", "bright", "grey"):
        choose_sample(opened, name)
        first, *_ = opened.wait(f"(({ANSWER}) || [''])[0].startsWith({name!r}) && {ANSWER}")
        assert first.split("\n")[0] == name and float(first.split("\n")[1].removesuffix(" %")) > 90
    assert opened.run("document.querySelector('#bars .fill').getBoundingClientRect().width") > 200
    assert "ms" in opened.run("document.querySelector('#latency').innerText")
    assert not opened.complaints()
    opened.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_a_file_is_classified_and_another_after_it(opened, made):
    samples = made / "served/classifier/1/assets.extra/samples"
    for name in ("bright", "dark"):
        opened.choose_file("#file", samples / f"{name}.png")
        opened.wait(f"(({ANSWER}) || [''])[0].startsWith({name!r})")
        assert name in opened.run("document.querySelector('#preview').alt")


def test_a_dropped_file_is_classified(opened, made):
    sample = made / "served/classifier/1/assets.extra/samples/grey.png"
    opened.run(f"""
        const transfer = new DataTransfer();
        const bytes = new Uint8Array({list(sample.read_bytes())});
        transfer.items.add(new File([bytes], "grey.png", {{type: "image/png"}}));
        const event = new DragEvent("drop", {{dataTransfer: transfer, bubbles: true, cancelable: true}});
        document.querySelector("#drop").dispatchEvent(event);
    """)
    assert opened.wait(ANSWER)[0].startswith("grey")


def test_what_is_no_picture_is_told_in_words_and_the_next_picture_works(opened, made, tmp_path):
    (tmp_path / "junk.png").write_bytes(b"this is no picture")
    opened.choose_file("#file", tmp_path / "junk.png")
    assert opened.wait(ERROR) == "The server cannot read this file as a picture."
    assert opened.run("document.querySelector('#error').getAttribute('role')") == "alert"
    (tmp_path / "empty.png").write_bytes(b"")
    opened.choose_file("#file", tmp_path / "empty.png")
    assert (
        opened.wait(f"({ERROR}) !== 'The server cannot read this file as a picture.' && {ERROR}")
        == "This file is empty."
    )
    choose_sample(opened, "dark")
    assert opened.wait(ANSWER)[0].startswith("dark")


def test_a_chosen_version_is_asked_for(opened):
    opened.run("document.querySelector('#version').value = '1'")
    opened.events.clear()
    choose_sample(opened, "grey")
    opened.wait(ANSWER)
    urls = [
        e["params"]["request"]["url"] for e in opened.events if e["method"] == "Network.requestWillBeSent"
    ]
    assert any(url.endswith("/v1/models/classifier/versions/1:predict") for url in urls)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_phone_and_its_text_stands_out(opened, dark):
    opened.size(360, 740, dark)
    choose_sample(opened, "grey")
    opened.wait(ANSWER)
    assert opened.run("document.documentElement.scrollWidth") <= 360
    contrasts = opened.run(CONTRASTS)
    assert len(contrasts) > 10
    assert [text for contrast, text in contrasts if contrast < 4.5] == []
    background = opened.run("getComputedStyle(document.body).backgroundColor")
    assert (int(background.split("(")[1].split(",")[0]) < 60) is dark


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(opened):
    tree = opened.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "combobox", "textbox", "image", "link"}
    found = [n for n in tree if not n.get("ignored") and n.get("role", {}).get("value") in roles]
    assert len(found) >= 6
    assert [node for node in found if not node.get("name", {}).get("value")] == []
    reached = set()
    opened.run("document.body.focus()")
    for _ in range(8):
        for kind in ("keyDown", "keyUp"):
            opened.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.add(opened.run("document.activeElement.id || document.activeElement.title"))
    assert {"model", "version", "file", "bright", "dark", "grey"} <= reached
    assert opened.run("document.documentElement.lang") == "en"


def test_a_server_with_a_token_asks_for_it_and_one_that_stops_is_told_in_words(
    browser, tmp_path, monkeypatch
):
    monkeypatch.setattr("kzoo.serve.loading.Version", FakeVersion)
    publish(tmp_path, "m", 1)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(tmp_path, rest_port=0, grpc_port=None, token="s3cret"))
        browser.open(f"{server.rest_address}/")
        browser.wait("!document.querySelector('#access').hidden")
        for token, shown in (("wrong", "does not accept"), ("s3cret", "serving_default")):
            browser.run(f"document.querySelector('#token').value = {token!r}")
            browser.run("document.querySelector('#access button').click()")
            browser.wait(f"document.body.innerText.includes({shown!r})")
        assert browser.run("document.querySelector('#access').hidden")
        assert browser.run("document.querySelector('#work').hidden")  # it has no classifier
    browser.run("look()")
    assert browser.wait("document.querySelector('#loading').innerText.includes('does not answer')")


def test_the_page_needs_nothing_from_elsewhere():
    text = page.html()
    assert "http://" not in text and "https://" not in text and "//cdn" not in text
    assert "default-src 'none'" in page.HEADERS["Content-Security-Policy"]
