"""A real browser without a driver: Chromium, told what to do over two pipes in the DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

PATIENCE = 60.0
# The protocol is spoken on descriptors 3 and 4; a shell can only name those of one digit.
_AS_3_AND_4 = (
    "import fcntl, os, sys\n"
    "high = [fcntl.fcntl(int(one), fcntl.F_DUPFD, 10) for one in sys.argv[1:3]]\n"
    "os.dup2(high[0], 3), os.dup2(high[1], 4)\n"
    "os.execv(sys.argv[3], sys.argv[3:])"
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def found() -> str:
    """The browser on this machine; empty for none."""
    return next(filter(None, map(shutil.which, NAMES)), "")


class Browser:
    """One tab."""

    def __init__(self, out: int, back: int):
        self._out, self._back, self._number, self._rest = out, back, 0, b""
        self.events: list[dict[str, Any]] = []
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, url: str, width: int = 1100, height: int = 1000, scheme: str = "light") -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=url)
        self.until(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def run(self, script: str) -> Any:
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, script: str) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"{script} is still {value!r}"
            time.sleep(0.05)
        return value

    def mouse(self, kind: str, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=int(kind != "mouseReleased"), clickCount=1)

    def key(self, name: str, code: int, *, shift: bool = False) -> None:
        text = {"text": "\r"} if name == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            held = 8 if shift else 0
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, modifiers=held, **text)

    def write(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def picture(self, path: pathlib.Path) -> None:
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """What the browser logged as errors, such as what a policy forbade, and exceptions of scripts."""
        self.run("1")
        logged = [one["params"]["entry"] for one in self.events if one.get("method") == "Log.entryAdded"]
        thrown = [json.dumps(one["params"]) for one in self.events if one.get("method") == "Runtime.exceptionThrown"]
        return [one["text"] for one in logged if one["level"] == "error" and "favicon" not in one.get("url", "")] + thrown

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._back, 1 << 20)
            assert part, "the browser ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


@contextlib.contextmanager
def opened() -> Iterator[Browser]:
    """A browser with a profile of its own, which may speak to this machine only, until the block ends."""
    theirs, out = os.pipe()
    back, answers = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
            "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={profile}",
        ]  # fmt: skip
        words = [sys.executable, "-c", _AS_3_AND_4, str(theirs), str(answers), found(), *options, "about:blank"]
        process = subprocess.Popen(
            words, pass_fds=(theirs, answers), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs)
        os.close(answers)
        try:
            yield Browser(out, back)
        finally:
            os.close(out)
            os.close(back)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
