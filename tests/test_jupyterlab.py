"""Each notebook as a person runs it: in JupyterLab in a browser, with no network but the server's own."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import small_demo
from PIL import Image

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
PICTURES = {
    "1_get_started": 2,
    "3_sql_and_analytics": 1,
    "4_view": 3,
    "5_foi": 1,
    "6_qa": 1,
    "9_xarray": 1,
    "10_crop_check": 1,
}
"""Pictures that a notebook shows at least."""
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight are on the page too
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
RUNNING = "() => [...document.querySelectorAll('.jp-InputPrompt')].some(p => p.textContent.includes('*'))"
ASKED = (
    "() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].some(p => /\\[\\d+\\]/.test(p.textContent))"
)
pytestmark = pytest.mark.slow


@contextmanager
def lab(folder, workspace):
    """The address of a JupyterLab server over a folder of notebooks."""
    runtime = folder / "runtime"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"]
    command += ["--LabApp.extension_manager=readonly", "--IdentityProvider.token=", f"--notebook-dir={folder}"]
    named = ("RUNTIME_DIR", "CONFIG_DIR", "DATA_DIR")
    own = {f"JUPYTER_{name}": str(folder / name.split("_")[0].lower()) for name in named}
    environment = {**os.environ, **own, "CBM_LAKE_HOME": str(workspace)}
    with (folder / "lab.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        while not (written := "".join(path.read_text() for path in runtime.glob("jpserver-*.json"))).endswith("}"):
            assert process.poll() is None, (folder / "lab.log").read_text()
            time.sleep(0.1)
        yield json.loads(written)["url"]
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    workspace, folder = tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("lab")
    for name in NOTEBOOKS:
        shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(workspace))
        small_demo.make(workspace)
    for name, content in SETTINGS.items():
        file = folder / "config" / "lab" / "user-settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(content))
    with lab(folder, workspace) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    """A page, and what it asked for elsewhere."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    elsewhere = []

    def only_here(route):
        if urlsplit(route.request.url).netloc == urlsplit(server).netloc:
            return route.continue_()
        elsewhere.append(route.request.url)
        return route.abort()

    page.route("**/*", only_here)
    yield page, elsewhere
    page.close()


def colours(image):
    """How many colours a picture on the page has."""
    pixels = np.asarray(Image.open(io.BytesIO(image.screenshot())).convert("RGB"))
    return len(np.unique(pixels.reshape(-1, 3), axis=0))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_in_jupyterlab_without_network_and_its_pictures_show_something(name, server, page):
    page, elsewhere = page
    page.goto(f"{server}lab/tree/{name}.ipynb?reset")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=180_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(ASKED, timeout=180_000)
    page.wait_for_function(f"() => !({RUNNING})()", timeout=300_000)
    errors = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr'], .jp-RenderedError")
    assert not [text for text in errors.all_inner_texts() if "Traceback" in text]
    images = page.locator(".jp-OutputArea-output img, img.widget-image")
    shown = [image for image in images.all() if image.is_visible()]
    assert len(shown) >= PICTURES.get(name, 0)
    assert all(colours(image) > 5 for image in shown)
    assert not elsewhere
