"""A headless Chromium, driven over a pipe by its DevTools protocol, with nothing but the standard library.

`python browser.py URL PICTURE.png [SAMPLE] [WIDTH HEIGHT] [dark]` takes a screenshot of the page of `kzoo serve`.
"""

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# The browser reads commands from its descriptor 3 and writes answers to its descriptor 4.
START = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(commands, 3), os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One tab. Events that the browser tells of are kept in `events`."""

    def __init__(self, width=1000, height=900):
        self._profile = tempfile.mkdtemp(prefix="kzoo-chromium-")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        words = [PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        words += [
            "--remote-debugging-pipe",
            "--no-first-run",
            "--hide-scrollbars",
            f"--user-data-dir={self._profile}",
        ]
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, str(theirs_in), str(theirs_out), *words],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.events, self._answers, self._ids = [], {}, itertools.count(1)
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")
        self.size(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method, **params):
        """The result of a command of the DevTools protocol."""
        message = {"id": next(self._ids), "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        with self._news:
            if not self._news.wait_for(lambda: message["id"] in self._answers, timeout=30):
                raise TimeoutError(method)
            answer = self._answers.pop(message["id"])
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self):
        rest = b""
        while True:
            try:
                chunk = os.read(self._in, 1 << 16)
            except OSError:
                return
            if not chunk:
                os.close(self._in)
                return
            *messages, rest = (rest + chunk).split(b"\0")
            with self._news:
                for message in map(json.loads, messages):
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self.events.append(message)
                self._news.notify_all()

    def size(self, width, height, dark=False):
        """Sets the size of the window, and whether the page is to be dark."""
        phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url):
        """Goes to a page."""
        self.call("Page.navigate", url=url)

    def run(self, script):
        """The value of some JavaScript; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def wait(self, script, timeout=20):
        """The value of some JavaScript once it is true."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            with contextlib.suppress(RuntimeError):  # it speaks of what is not on the page yet
                if value := self.run(script):
                    return value
            time.sleep(0.05)
        raise TimeoutError(f"{script}. Received: {self.run('document.body.innerText')}")

    def choose_file(self, selector, path):
        """Puts a file into an `<input type=file>` as its user would."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def complaints(self):
        """What the page has logged as errors, and requests to other servers."""
        told = []
        for event in self.events:
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                told.append(params["exceptionDetails"]["text"])
            if event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                told.append(params["entry"]["text"])
            if event["method"] == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith(("http://127.0.0.1:", "blob:", "data:", "about:")):
                    told.append(url)
        return told

    def screenshot(self, path):
        """Writes a PNG of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        Path(path).write_bytes(base64.b64decode(data))


if __name__ == "__main__":
    url, picture, *rest = sys.argv[1:]
    dark = "dark" in rest
    rest = [word for word in rest if word != "dark"]
    sample = rest.pop(0) if len(rest) % 2 else None
    with Browser() as browser:
        browser.size(*map(int, rest or (1000, 900)), dark)
        browser.open(url)
        browser.wait("!!document.querySelector('#models tbody tr')")
        if sample:
            button = f"document.querySelector('#samples button[title={json.dumps(sample)}]')"
            browser.wait(f"!!({button} && {button}.onclick)")
            browser.run(f"{button}.click()")
            browser.wait("document.querySelector('#bars li') && !document.querySelector('#bars').hidden")
        time.sleep(0.3)
        browser.screenshot(picture)
