"""A real browser, driven over the DevTools protocol: Chromium reads commands from a pipe.

Mouse and keyboard are the browser's own, so that what is covered or disabled cannot be used.
Source: https://chromedevtools.github.io/devtools-protocol/ (1.3); messages end with a zero byte.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH, HEIGHT = 1400, 1000
PATIENCE_SECONDS = 180
NOISE = "favicon.ico"
LEAST_NUMBER = 10  # of our ends of the pipes: the browser's are 3 and 4


def program() -> str:
    """The browser to drive; without one the tests are left out, unless they are insisted on."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        left_out = pytest.fail if os.environ.get("DTOC_TESTS_NEED_BROWSER") else pytest.skip
        left_out(f"no browser is on the PATH, expected one of {', '.join(NAMES)}: install one")
    return found


@contextmanager
def browser() -> Iterator["Page"]:
    """A page of a browser of its own, without any profile."""
    profile = Path(tempfile.mkdtemp(prefix="dtoc-browser-"))
    to_browser, from_us = os.pipe()
    from_browser, to_us = os.pipe()
    options = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--disable-background-networking", "--disable-component-update", "--no-first-run",
        "--hide-scrollbars", f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank",
    ]  # fmt: skip
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, LEAST_NUMBER) for end in (to_browser, to_us)]
    os.close(to_browser)
    os.close(to_us)
    command = ["bash", "-c", f'exec "$0" "$@" 3<&{ends[0]} 4>&{ends[1]}', program(), *options]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen(command, pass_fds=ends, start_new_session=True, **quiet)
    for end in ends:
        os.close(end)
    try:
        yield Page(from_us, from_browser)
    finally:
        os.close(from_us)  # the browser ends with its pipe
        os.close(from_browser)
        try:
            running.wait(timeout=30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        shutil.rmtree(profile, ignore_errors=True)


class Page:
    """``requests`` holds the address of everything the page loaded, ``errors`` what went wrong."""

    def __init__(self, write: int, read: int) -> None:
        self.write, self.read, self.rest, self.count = write, read, b"", 0
        self.session, self.requests, self.errors = "", [], []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        self._resize(HEIGHT)

    def open(self, url: str) -> None:
        self._call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def ask(self, expression: str) -> Any:
        """What JavaScript makes of ``expression`` in the page."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise ValueError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Until the condition holds, over reloads of the page."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._holds(condition):
            assert time.monotonic() < deadline, f"{condition} does not hold in:\n{self.text()}"
            time.sleep(0.1)

    def wait_for_text(self, text: str) -> None:
        self.wait_for(f"document.body.innerText.includes({json.dumps(text)})")

    def text(self) -> str:
        return str(self.ask("document.body ? document.body.innerText : ''"))

    def type(self, name: str, text: str) -> None:
        """Into the field of that name, in the place of what stood there."""
        field = f'[name="{name}"]'
        self.click(field)
        self.ask(f"document.querySelector({json.dumps(field)}).select()")
        if text:
            self._call("Input.insertText", text=text)
        else:
            self.ask(f"document.querySelector({json.dumps(field)}).value = ''")

    def choose(self, name: str, label: str) -> None:
        """The option of a list whose words contain ``label``."""
        found = self.ask(
            f"""(() => {{
                const list = document.querySelector('select[name="{name}"]');
                const wanted = [...list.options].find(o => o.text.includes({json.dumps(label)}));
                if (!wanted) return [...list.options].map(o => o.text).join(", ");
                list.value = wanted.value;
                list.dispatchEvent(new Event("change", {{bubbles: true}}));
            }})()"""
        )
        assert found is None, f"{label} is none of {found}"

    def click(self, selector: str) -> None:
        """With the mouse, in the middle of the first element that the selector finds."""
        self._click(f"document.querySelector({json.dumps(selector)})")

    def click_text(self, text: str) -> None:
        """The first link, button or summary that has a line ``text``; icons are lines too."""
        self._click(
            "[...document.querySelectorAll('a, button, summary')].find(e => e.offsetParent"
            f" && e.innerText.split('\\n').some(line => line.trim() === {json.dumps(text)}))"
        )

    def screenshot(self, file: Path) -> None:
        """The whole page, as long as it is."""
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        self._resize(max(size["height"], HEIGHT))
        file.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))
        self._resize(HEIGHT)

    def _resize(self, height: int) -> None:
        self._call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=height,
                   deviceScaleFactor=1, mobile=False)  # fmt: skip

    def _click(self, element: str) -> None:
        self.wait_for(f"!!({element})")
        place = self.ask(
            f"""(() => {{
                const found = {element};
                found.scrollIntoView({{block: "center", behavior: "instant"}});
                const box = found.getBoundingClientRect();
                const x = box.x + box.width / 2, y = box.y + box.height / 2;
                const hit = document.elementFromPoint(x, y);
                return {{x, y, free: !!hit && (found.contains(hit) || hit.contains(found))}};
            }})()"""
        )
        assert place["free"], f"{element} is covered by something else"
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=place["x"], y=place["y"],
                       button="left", clickCount=1)  # fmt: skip

    def _holds(self, condition: str) -> bool:
        try:
            return bool(self.ask(condition))
        except ValueError:  # between two pages there is none to ask
            return False

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := self._next(deadline)).get("id") != self.count:
            self._note(answer)
        if "error" in answer:
            raise ValueError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _note(self, event: dict[str, Any]) -> None:
        facts = event.get("params", {})
        notes: dict[str, Callable[[], None]] = {
            "Network.requestWillBeSent": lambda: self.requests.append(facts["request"]["url"]),
            "Runtime.exceptionThrown": lambda: self.errors.append(str(facts["exceptionDetails"])),
            "Log.entryAdded": lambda: self._log(facts["entry"]),
        }
        notes.get(event.get("method", ""), lambda: None)()

    def _log(self, entry: dict[str, Any]) -> None:
        if entry["level"] == "error" and NOISE not in entry.get("url", ""):
            self.errors.append(f"{entry['text']} {entry.get('url', '')}")

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.read], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            read = os.read(self.read, 1 << 20)
            assert read, "the browser has ended"
            self.rest += read
        message, self.rest = self.rest.split(b"\0", 1)
        found: dict[str, Any] = json.loads(message)
        return found
