"""Drives a headless Chromium through chromedriver, with nothing but the standard library.

chromedriver speaks the W3C WebDriver protocol: JSON over HTTP. Its logs hold the page's console and every request that
the page made, which is how a test knows that there was none.
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_SECONDS = 300
INSTALL = "install it (Debian and Ubuntu: apt-get install chromium chromium-driver), then run `make test-browser` again"
BROWSERS, DRIVER = ("chromium", "chromium-browser", "google-chrome"), "chromedriver"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def find(*names: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    raise RuntimeError(f"none of {', '.join(names)} is on the PATH: {INSTALL}")


@dataclass(frozen=True)
class Browser:
    session: str  # its URL

    def command(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.session + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {json.load(error)['value']['message']}") from None

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self.command("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, page: Path, width: int, height: int, scheme: str = "light") -> None:
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.command("POST", "/url", {"url": page.resolve().as_uri()})

    def run(self, script: str) -> Any:
        return self.command("POST", "/execute/sync", {"script": script, "args": []})

    def console(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.command("POST", "/se/log", {"type": "browser"})
        return found

    def requests(self) -> list[str]:
        """Every URL asked for since the last call, the page's own included."""
        events = [
            json.loads(entry["message"])["message"]
            for entry in self.command("POST", "/se/log", {"type": "performance"})
        ]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    def screenshot(self, path: Path) -> None:
        """The whole page, not just what fits the window."""
        picture = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(picture["data"]))


@contextmanager
def chromium() -> Iterator[Browser]:
    binary, driver = find(*BROWSERS), find(DRIVER)
    with tempfile.TemporaryDirectory(prefix="mmctr-browser-", ignore_cleanup_errors=True) as profile:
        log = Path(profile) / "chromedriver.log"
        with log.open("w") as output:
            process = subprocess.Popen([driver, "--port=0"], stdout=output, stderr=subprocess.STDOUT)
        try:
            server = f"http://127.0.0.1:{_port(log, process)}"
            options = {"binary": binary, "args": [*FLAGS, f"--user-data-dir={profile}/profile"]}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
            found = Browser(server).command("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            browser = Browser(f"{server}/session/{found['sessionId']}")
            try:
                yield browser
            finally:
                browser.command("DELETE", "")
        finally:
            process.terminate()
            process.wait(60)


def _port(log: Path, process: "subprocess.Popen[bytes]") -> int:
    """chromedriver picks a free port and says which."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        _, found, rest = log.read_text().partition("started successfully on port ")
        if found:
            return int(rest.split(".")[0])
        time.sleep(0.05)
    raise RuntimeError(f"chromedriver did not start within {READY_SECONDS} s: {log.read_text()[-500:]}")
