"""A headless Chromium that a test drives through its debugging protocol (Chrome DevTools Protocol)."""

import base64
import contextlib
import json
import re
import subprocess
import tempfile
from urllib.request import urlopen

import pytest
from browser import FLAGS, find_browser

SECONDS = 30  # The longest time for a condition to become true.


class Session:
    """A page in the browser.

    Args:
      socket: the connection to the page's debugger.
    """

    def __init__(self, socket):
        self._socket, self._number = socket, 0

    def call(self, method, **parameters):
        """Calls a method of the debugging protocol and returns its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv(timeout=10 * SECONDS))).get("id") != self._number:
            pass  # The browser also reports events.
        assert "error" not in answer, answer
        return answer["result"]

    def run(self, script):
        """Runs JavaScript, waits for its promise, and returns its value."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, condition, seconds=SECONDS):
        """Waits until a JavaScript expression is true; the error after that time is the text of the page."""
        look = f"({condition}) ? done(true) : left-- ? setTimeout(look, 100) : fail(document.body.innerText)"
        self.run(f"new Promise((done, fail) => {{ let left = {10 * seconds}; const look = () => {look}; look(); }})")

    def drop_file(self, path, selector):
        """Drops a file of this machine on the element of a CSS selector, as a mouse does."""
        box = self.run(f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({_box(selector)})")
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=box[0], y=box[1], data=data)

    def press(self, key, code, times=1):
        """Presses a key, such as ``("ArrowRight", 39)``."""
        for kind in ("rawKeyDown", "keyUp") * times:
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, path, whole=False):
        """Writes a picture of the window, or of the whole page, as PNG or JPEG."""
        kind = "jpeg" if path.suffix == ".jpg" else "png"
        picture = self.call("Page.captureScreenshot", format=kind, captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))

    def resize(self, width, height, dark=False, touch=False):
        """Sets the size of the window and the color scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])


@contextlib.contextmanager
def open_page(address, downloads):
    """Opens an address in a browser of 1200x900 pixels and yields the session; downloads go to a folder."""
    client = pytest.importorskip("websockets.sync.client")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--remote-debugging-port=0", f"--user-data-dir={profile}", "--window-size=1200,900", "about:blank"]
        browser = subprocess.Popen([find_browser(), *FLAGS, *flags], stderr=subprocess.PIPE, text=True)
        try:
            found = next(filter(None, (re.search(r"ws://[^/]+", line) for line in browser.stderr)))[0]
            with client.connect(f"{found}/devtools/page/{_page(found)}", max_size=None) as socket:
                session = Session(socket)
                session.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
                session.call("Page.enable")
                session.call("Page.navigate", url=address)
                session.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
                yield session
        finally:
            browser.terminate()
            browser.wait(20)
            browser.stderr.close()


def _page(address):
    """Returns the number of the only page."""
    with urlopen(address.replace("ws:", "http:") + "/json") as reply:
        return next(one["id"] for one in json.load(reply) if one["type"] == "page")


def _box(selector):
    return f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
