"""Every lesson in a real browser, as a learner sees it: ``make test-browser``.

A plain ``pytest`` does not collect this file, for it needs Chromium. ``CHROMIUM`` names another one than the first on
the path. Each worker starts a JupyterLab of its own, on a temporary copy of the lessons.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect, sync_playwright

import helpers
from tests.conftest import IMAGES, ROOT
from tests.test_lessons import LESSONS
if os.environ.get("TOY"): LESSONS = [Path("/tmp/browser/toy/97-toy.ipynb")]

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
START_SECONDS, LESSON_SECONDS = 60, 300
# What a reader would answer or change by hand: no question about news, and every cell in the page at once
NO_NEWS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
WHOLE_PAGE = {"windowingMode": "none"}
# In the kernel: whoever looks for another machine fails
STAY_HERE = """\
import sys


def stay_here(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in ("localhost", "127.0.0.1"):
        raise RuntimeError(f"a lesson looked for the machine {arguments[0]}")


sys.addaudithook(stay_here)
"""
# For each code cell of the page: its number, the pictures that are shown in it, the text of its error
CELLS = """() => [...document.querySelectorAll(".jp-CodeCell")].map(cell => ({
    number: cell.querySelector(".jp-InputPrompt").textContent,
    pictures: [...cell.querySelectorAll("img")].filter(img => img.complete && img.naturalWidth > 0).length,
    errors: [...cell.querySelectorAll("[data-mime-type='application/vnd.jupyter.error']")].map(e => e.textContent),
}))"""
PROMPTS = "() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(prompt => prompt.textContent)"


def write(path: Path, content: dict | str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """JupyterLab on a copy of the lessons: the address of the server, its token, and the folder."""
    folder = tmp_path_factory.mktemp("jupyter")
    shutil.copytree(ROOT / "notebooks", folder / "course" / "notebooks")
    write(folder / "config" / "labconfig" / "page_config.json", NO_NEWS)
    write(folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings", WHOLE_PAGE)
    write(folder / "ipython" / "profile_default" / "startup" / "stay_here.py", STAY_HERE)
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    environment = {**os.environ, **{name: str(folder / place) for name, place in places.items()}, "CLIP_MODEL": "tiny"}
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder / "course", env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            server = wait_for_server(process, folder)
            yield server["url"], server["token"], folder / "course"
        finally:
            process.terminate()
            process.wait()


def wait_for_server(process, folder: Path) -> dict:
    """Wait for the file in which a server tells where it listens."""
    for _ in range(10 * START_SECONDS):
        found = list((folder / "runtime").glob("jpserver-*.json"))
        if found and (text := found[0].read_text()).endswith("}"):
            return json.loads(text)
        assert process.poll() is None, (folder / "log").read_text()
        time.sleep(0.1)
    raise TimeoutError((folder / "log").read_text())


@pytest.fixture(scope="session")
def chromium():
    assert CHROMIUM, "there is no chromium on the path"
    with sync_playwright() as playwright:
        # Another machine's name leads nowhere, so that even a lesson that asks for one keeps the promise
        arguments = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A page that remembers in `page.asked` what it asked for."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.asked, page.broken = [], []
    context.on("request", lambda request: page.asked.append(request.url))
    page.on("websocket", lambda socket: page.asked.append(socket.url))
    page.on("pageerror", lambda error: page.broken.append(str(error)))
    yield page
    context.close()


def abroad(asked: list[str], home: str) -> list[str]:
    """Choose the requests that left the machine."""
    here = (home, home.replace("http", "ws", 1), "data:", "blob:")
    return [url for url in asked if not url.startswith(here)]


def open_lesson(page, jupyter, path: Path, view: str) -> None:
    """Open a copy of the lesson, and wait till all of it stands there and its kernel is ready."""
    url, token, folder = jupyter
    shutil.copy(path, folder / "notebooks" / path.name)
    page.goto(f"{url}{view}/notebooks/{path.name}?token={token}")
    idle = page.locator("#jp-main-statusbar", has_text="Idle").or_(page.locator(".jp-NotebookKernelStatus-fade"))
    expect(idle).to_be_attached(timeout=60_000)
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    expect(page.locator(".jp-CodeCell")).to_have_count(len(code))


def run_all(page) -> None:
    """Clear what was saved, and run all cells: afterwards, what the page shows is new."""
    choose(page, "Edit", "Clear Outputs of All Cells")
    expect(page.locator(".jp-OutputArea-output")).to_have_count(0)
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    choose(page, "Run", "Run All Cells")
    expect(prompts.last).to_have_text("[*]:")
    expect(prompts.filter(has_text="[*]:")).to_have_count(0, timeout=1000 * LESSON_SECONDS)


def choose(page, menu: str, entry: str) -> None:
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.get_by_role("menuitem", name=entry, exact=True).click()


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_runs_in_jupyterlab(path, page, jupyter):
    open_lesson(page, jupyter, path, f"lab/workspaces/{path.stem[:2]}/tree")
    print(page.evaluate(CELLS))
    run_all(page)
    print(page.evaluate(CELLS), page.asked[:3], page.broken)
    page.screenshot(path=f"/tmp/shot-{path.stem[:2]}.png")
    assert not abroad(page.asked, jupyter[0])
    assert 0


def test_7(page, jupyter):
    path = LESSONS[0]
    open_lesson(page, jupyter, path, "notebooks")
    run_all(page)
    print(page.evaluate(CELLS), page.asked[:3], page.broken)
    page.screenshot(path=f"/tmp/shot7-{path.stem[:2]}.png")
    assert not abroad(page.asked, jupyter[0])
    assert 0
