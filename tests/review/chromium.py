"""A headless Chromium, driven over its debugging protocol: pages as people see them, keys as they press them."""

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_PATIENCE = 20.0  # seconds; the machine is shared
_NAMED_KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    "Delete": 46,
}


class Tab:
    """One page of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.messages: list[str] = []
        """what the page's console and its failures say"""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        answer = self._ask(method, **parameters)
        assert "error" not in answer, answer
        return answer["result"]

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The browser's answer: `result`, or `error`."""
        number = self._post(method, **parameters)
        while True:
            answer = json.loads(self._socket.recv(timeout=_PATIENCE))
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.messages.append(json.dumps(answer["params"]))
            if answer.get("method") == "Page.javascriptDialogOpening":  # "leave the page?": yes
                self._post("Page.handleJavaScriptDialog", accept=True)
            if answer.get("id") == number:
                return answer

    def _post(self, method: str, **parameters: Any) -> int:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        return number

    def open(self, url: str) -> None:
        self.send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def reload(self) -> None:
        self.run("window.beforeReload = true")
        self.send("Page.reload")
        self.wait("!window.beforeReload && document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; promises are waited for."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while (answer := self._ask_whether(condition)) != {"type": "boolean", "value": True}:
            assert time.monotonic() < deadline, f"never: {condition}; last {answer}; the page says {self.messages}"
            time.sleep(0.03)

    def press(self, key: str) -> None:
        """A key as people press it: what has the focus gets it."""
        code = _NAMED_KEYS.get(key, ord(key[0].upper()))
        text = {} if key in _NAMED_KEYS and key != "Enter" else {"text": "\r" if key == "Enter" else key}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def write(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def view(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def offline(self, off: bool) -> None:
        self.send(
            "Network.emulateNetworkConditions", offline=off, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def _ask_whether(self, condition: str) -> Any:
        """Whether it holds; a page that is being left says neither, by an empty answer or by an error."""
        answer = self._ask("Runtime.evaluate", expression=f"Boolean({condition})", returnByValue=True)
        return answer.get("error") or answer["result"]["result"]


@contextmanager
def chromium(profile: Path) -> Iterator[Tab]:
    """A browser of its own that keeps its files in `profile`."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
    flags += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen([CHROMIUM, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            with connect(_page_address(profile), max_size=None) as socket:
                yield Tab(socket)
        finally:
            browser.terminate()


def _page_address(profile: Path) -> str:
    port_file, deadline = profile / "DevToolsActivePort", time.monotonic() + _PATIENCE
    while not (port_file.is_file() and port_file.read_text().count("\n")):
        assert time.monotonic() < deadline, "Chromium does not start"
        time.sleep(0.05)
    port = port_file.read_text().split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=_PATIENCE) as answer:
        pages = [page for page in json.load(answer) if page["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"])
