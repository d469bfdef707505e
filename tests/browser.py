"""A headless Chromium, where one is installed."""

import shutil
import subprocess
import tempfile

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def find_browser() -> str:
    """Returns the program; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    return found


def run_browser(page, *flags, dark=False, width=1200, height=1600):
    """Opens a page file and returns what the browser prints."""
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    with tempfile.TemporaryDirectory() as profile:
        command = [find_browser(), *FLAGS, *scheme, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        done = subprocess.run(
            [*command, *flags, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
        )
    return done.stdout
