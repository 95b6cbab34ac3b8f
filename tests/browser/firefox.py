"""A headless Firefox of the distribution, driven by Marionette, the protocol that it speaks itself.

Playwright drives only a Firefox of its own; this offers those parts of its pages that the benchmarks use.
"""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
CODES = {"ArrowDown": "\ue015", "Shift": "\ue008", "Space": " "}  # of keys, in WebDriver
PATIENCE = 60  # seconds
# Port 0 is a free one. A proxy that nobody serves keeps it on this machine.
PREFERENCES: dict[str, str | int | bool] = {
    "marionette.port": 0,
    "network.proxy.type": 1,
    **{f"network.proxy.{name}": "127.0.0.1" for name in ("http", "ssl")},
    **{f"network.proxy.{name}_port": 9 for name in ("http", "ssl")},
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}


class Keyboard:
    """The keyboard of a tab."""

    def __init__(self, tab: "Tab") -> None:
        self.tab = tab

    def press(self, keys: str) -> None:
        """Press `keys`, such as `k` or `Shift+Space`, and release them."""
        codes = [CODES.get(key, key) for key in keys.split("+")]
        steps = [("keyDown", code) for code in codes] + [("keyUp", code) for code in reversed(codes)]
        actions = [{"type": kind, "value": code} for kind, code in steps]
        self.tab.send("WebDriver:PerformActions", actions=[{"type": "key", "id": "keys", "actions": actions}])


class Tab:
    """A tab, with those methods of Playwright's `Page` that the benchmarks use."""

    def __init__(self, connection: socket.socket) -> None:
        self.stream, self.number, self.keyboard = connection.makefile("rwb"), 0, Keyboard(self)
        self._read()
        self.send("WebDriver:NewSession", capabilities={})
        self.send("WebDriver:SetTimeouts", script=PATIENCE * 1000)

    def _read(self) -> Any:
        length = b"".join(iter(lambda: self.stream.read(1), b":"))
        return json.loads(self.stream.read(int(length)))

    def send(self, command: str, **parameters: Any) -> Any:
        """Return the answer to `command`. Raises `RuntimeError` if it failed."""
        self.number += 1
        text = json.dumps([0, self.number, command, parameters]).encode()
        self.stream.write(b"%d:%s" % (len(text), text))
        self.stream.flush()
        *_, error, result = self._read()
        if error:
            raise RuntimeError(f"{command}: {error['message']}")
        return result

    def evaluate(self, function: str, arg: Any = None) -> Any:
        """Return what the JavaScript `function` returns for `arg`."""
        return self.send("WebDriver:ExecuteScript", script=f"return ({function})(arguments[0])", args=[arg])["value"]

    def wait_for_function(self, function: str, *, arg: Any = None) -> None:
        """Wait until the JavaScript `function` returns something true for `arg`; it is asked at each picture that is drawn."""
        script = (
            f"const [arg, done] = arguments; const ask = () => ({function})(arg) ? done() : requestAnimationFrame(ask); ask();"
        )
        self.send("WebDriver:ExecuteAsyncScript", script=script, args=[arg])


@contextmanager
def firefox(address: str) -> Iterator[Tab]:
    """Yield the only tab of a headless Firefox, which shows `address` and reaches nothing but this machine."""
    with TemporaryDirectory() as profile:
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items())
        (Path(profile) / "user.js").write_text("".join(lines), encoding="utf-8")
        command = [FIREFOX, "--headless", "--marionette", "--no-remote", "--profile", profile, "--width=1400", "--height=900"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port, end = Path(profile) / "MarionetteActivePort", time.monotonic() + PATIENCE
            while not (port.exists() and port.read_text()):
                assert process.poll() is None and time.monotonic() < end, "Firefox does not start"
                time.sleep(0.1)
            with socket.create_connection(("127.0.0.1", int(port.read_text()))) as connection:
                tab = Tab(connection)
                tab.send("WebDriver:Navigate", url=address)
                yield tab
        finally:
            process.terminate()
            process.wait()
