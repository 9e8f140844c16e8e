"""The pictures of the page in these documents, taken anew from the demonstration: `make demo`, then `make pictures`.

Each tab of `cbm-lake app` is opened in Chromium over a copy of the demonstration's workspace and photographed as it
stands; the workbench light and dark.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

from cbm_lake.ipycbm.page import TABS

ROOT: Final = Path(__file__).parent.parent
IMAGES: Final = ROOT / "docs" / "images"
CHROMIUM: Final = shutil.which("chromium") or "/usr/bin/chromium"
SIZE: Final = {"width": 1440, "height": 900}
PATIENCE: Final = 120_000
"""Milliseconds."""


def judge(workspace: Path) -> None:
    """A night of the demonstration's season, whose lights the workbench shows."""
    command = [sys.executable, "-m", "cbm_lake.cli", "run", str(workspace / "sample" / "season.yaml")]
    subprocess.run(command, env={**os.environ, "CBM_LAKE_HOME": str(workspace)}, check=True)  # noqa: S603 - our own


@contextmanager
def served(workspace: Path) -> Iterator[str]:
    """The address of the page over a workspace."""
    command = [sys.executable, "-m", "cbm_lake.cli", "app", "--port", "0"]
    environment = {**os.environ, "CBM_LAKE_HOME": str(workspace), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        yield next(word for word in process.stdout.readline().split() if word.startswith("http"))
    finally:
        process.terminate()
        process.wait(30)


def opened(browser: Browser, url: str, scheme: str) -> Page:
    """The page when its first tab is there."""
    page = browser.new_page(viewport=SIZE, color_scheme="dark" if scheme == "dark" else "light")
    page.goto(url)
    page.get_by_role("tab", name="workbench").wait_for(timeout=PATIENCE)
    page.locator("[class^=cbm-strip] [role=option]").first.wait_for(timeout=PATIENCE)
    page.wait_for_function("() => document.querySelector('.cbm-bench') && !document.querySelector('.cbm-old')")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(8_000)  # images of the strip and the map come one after another
    return page


def main() -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        workspace = Path(folder) / "demo"
        shutil.copytree(ROOT / "demo", workspace)
        judge(workspace)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        with served(workspace) as url:
            for scheme in ("light", "dark"):
                page = opened(browser, url, scheme)
                page.screenshot(path=IMAGES / f"workbench_{scheme}.png")
                if scheme == "light":
                    photograph(page)
                page.close()
        browser.close()


def photograph(page: Page) -> None:
    """Each of the other tabs."""
    for name in list(TABS)[1:]:
        if name == "FOI":  # which has a picture of a finished check
            continue
        page.get_by_role("tab", name=name, exact=True).first.click()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(3_000)
        page.screenshot(path=IMAGES / f"app_{name.lower()}.png")


if __name__ == "__main__":
    main()
