"""The review page of a project in a headless Chromium."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def served(folder: Path, who: str = "Ada") -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Serve the review page of `folder/results/review` inside the block; yield the address and the process."""
    command = [
        sys.executable,
        "-m",
        "tessera.pages.review.serve",
        str(folder / "results" / "review" / "items.parquet"),
        "--who",
        who,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
    try:
        line = process.stdout.readline()
        yield re.search(r"http://\S+", line)[0], process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a headless Chromium that reaches only this machine."""
    # In a container there is no sandbox.
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, address: str, scheme: Literal["light", "dark"] = "light", width: int = 1400) -> Iterator[Page]:
    """Yield a tab that shows `address`. At the end, the page must not have complained."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.locator("section.one, .empty").first.wait_for()
    try:
        yield page
        # What the server refuses is logged too, and shown by the page.
        found = [text for text in complaints if not text.startswith("Failed to load resource")]
        assert not found, found
    finally:
        context.close()


def shown(page: Page) -> str:
    """Return the key of the item that is shown."""
    return page.locator("section.one").get_attribute("aria-label") or ""


def faults(page: Page) -> list[str]:
    """Return what axe finds that some people cannot see, reach or read on `page`."""
    from axe_playwright_python.sync_playwright import Axe

    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['help']} ({each['nodes'][0]['html'][:200]})" for each in found]
