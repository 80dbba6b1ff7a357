"""Every lesson in a real browser, as a learner sees it: ``make test-browser``.

A plain ``pytest`` does not collect this file, for it needs Chromium. The lessons run in JupyterLab as `make lab` opens
it, in a temporary copy of the course. Its settings are a new user's but for two: every cell stands in the page at once,
so that none that is off the screen escapes, and nobody asks about news.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

import helpers
from tests.conftest import IMAGES, ROOT
from tests.test_lessons import LESSONS, cells

CHROMIUM = os.environ["CHROMIUM"]
OPENED = frozenset(["image/png"])  # JupyterLab shows no SVG of a notebook that it does not trust yet
RUN = OPENED | {"image/svg+xml"}
SECONDS = 1000  # Playwright counts in milliseconds
JUPYTERLAB, NOTEBOOK_7 = "lab/tree", "notebooks"
SETTINGS = {
    "config/labconfig/page_config.json": {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}},
    "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
}
STAY_HERE = """\
import sys


def stay_here(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "", "localhost", "127.0.0.1"):
        raise RuntimeError(f"a lesson looks for the machine {arguments[0]}")


sys.addaudithook(stay_here)
"""
SHOWN = """cells => cells.map(cell => ({
    number: cell.querySelector(".jp-InputPrompt").textContent,
    images: [...cell.querySelectorAll("img")].filter(image => image.naturalWidth > 0).length,
    broken: [...cell.querySelectorAll("img")].filter(image => !(image.naturalWidth > 0)).length,
}))"""


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """JupyterLab on loopback, whose kernels find no other machine: its address, its token, and the folder it shows."""
    folder = tmp_path_factory.mktemp("jupyter")
    for part in ("notebooks", "images"):
        shutil.copytree(ROOT / part, folder / "course" / part)
    start_up = folder / "ipython" / "profile_default" / "startup" / "stay_here.py"
    for path in (start_up, *(folder / name for name in SETTINGS)):
        path.parent.mkdir(parents=True)
    start_up.write_text(STAY_HERE)
    for name, settings in SETTINGS.items():
        (folder / name).write_text(json.dumps(settings))
    environment = {
        **os.environ,
        "CLIP_MODEL": "tiny",
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    command = [sys.executable, "notebooks/lab.py", "--no-browser", "--ServerApp.ip=127.0.0.1"]
    command += ["--ServerApp.port=0"]  # any free one: two servers that start together both found 8888 free
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder / "course", env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        listens = wait_for_server(server, folder)
        yield listens["url"], listens["token"], folder / "course"
    finally:
        server.terminate()
        server.wait()
    for lesson in LESSONS:  # learning leaves the course as it was
        assert (folder / "course" / "notebooks" / lesson.name).read_bytes() == lesson.read_bytes()


def wait_for_server(server: subprocess.Popen, folder: Path) -> dict:
    """Wait for the file in which a server tells where it listens."""
    for _ in range(600):
        told = [path.read_text() for path in (folder / "runtime").glob("jpserver-*.json")]
        if told and told[0].endswith("}"):
            return json.loads(told[0])
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError((folder / "log").read_text())


@pytest.fixture(scope="session")
def chromium():
    """A browser to which every name of another machine leads nowhere: so none is reached even while a test fails."""
    with sync_playwright() as playwright:
        nowhere = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=nowhere, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A page that keeps in ``asked`` what was asked for, and in ``broken`` what its scripts complained of."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.asked, page.broken = [], []
    context.on("request", lambda request: page.asked.append(request.url))
    page.on("websocket", lambda socket: page.asked.append(socket.url))
    page.on("pageerror", lambda error: page.broken.append(str(error)))
    yield page
    context.close()


@pytest.fixture
def notebook(page, jupyter):
    """Opens lessons, sees to it that nothing leaves the machine, and ends their kernels."""
    url, token, folder = jupyter

    def open_lesson(path: Path, view: str) -> Path:
        """Open a fresh copy, and wait till all of it stands there and its kernel is ready."""
        copy = shutil.copy(path, folder / "learning" / path.name)
        page.goto(f"{url}{view}/learning/{path.name}?reset&token={token}")
        ready = page.locator("#jp-main-statusbar", has_text="Idle").or_(page.locator(".jp-NotebookKernelStatus-fade"))
        expect(ready).to_be_attached(timeout=60 * SECONDS)
        expect(page.locator(".jp-CodeCell")).to_have_count(len(cells(path, "code")))
        return copy

    yield open_lesson
    who = {"Authorization": f"token {token}"}
    for kernel in page.request.get(f"{url}api/kernels", headers=who).json():
        page.request.delete(f"{url}api/kernels/{kernel['id']}", headers=who)
    here = (url, url.replace("http", "ws", 1), "data:", "blob:")
    assert [asked for asked in page.asked if not asked.startswith(here)] == []


def choose(page: Page, menu: str, entry: str) -> None:
    """Click an entry of the menu bar."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.get_by_role("menuitem", name=entry, exact=True).click()


def save(page: Page) -> None:
    """Save the notebook, and wait till its file is written."""
    with page.expect_response(lambda response: response.request.method == "PUT" and "/contents/" in response.url):
        page.locator(".jp-Notebook").press("Control+s")


def but_version(path: Path) -> str:
    """Read a notebook; each machine writes the version of its own Python into it."""
    return re.sub(r'"version": "[\d.]+"', "", path.read_text())


def shown(page: Page) -> list[dict]:
    """Tell for each code cell its number, and how many images are shown or broken."""
    return page.locator(".jp-CodeCell").evaluate_all(SHOWN)


def run_all(page: Page, copy: Path) -> list[dict]:
    """Clear what was saved, run all cells, and tell what is shown now; no error is, in no cell and no widget."""
    choose(page, "Edit", "Clear Outputs of All Cells")
    expect(page.locator(".jp-OutputArea-output")).to_have_count(0)
    numbers = page.locator(".jp-CodeCell .jp-InputPrompt")
    choose(page, "Run", "Run All Cells")
    expect(numbers.last).to_have_text("[*]:")  # saved numbers do not go away by themselves
    expect(numbers.filter(has_text="[*]:")).to_have_count(0, timeout=300 * SECONDS)
    save(page)
    outputs = [output for cell in cells(copy, "code") for output in cell.outputs]
    errors = ["\n".join(output.traceback) for output in outputs if output.output_type == "error"]
    assert not errors, errors[0]
    assert page.get_by_text("Traceback (most recent call last)").all_text_contents() == []
    return shown(page)


def promised(path: Path, kinds: frozenset[str] = RUN) -> list[dict]:
    """Tell what each code cell must show: its number after one run, the first one folded, and the saved images."""
    return [
        {
            "number": f"[{i}]:" if i > 1 else "",
            "images": sum(
                bool(kinds & set(output.get("data", {}))) + output.get("data", {}).get("text/html", "").count("<img")
                for output in cell.outputs
            ),
            "broken": 0,
        }
        for i, cell in enumerate(cells(path, "code"), start=1)
    ]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_opens_unchanged_and_runs_in_jupyterlab(path, page, notebook):
    copy = notebook(path, JUPYTERLAB)
    assert shown(page) == promised(path, OPENED)
    save(page)
    assert but_version(copy) == but_version(path)
    assert run_all(page, copy) == promised(path)
    assert page.broken == []


@pytest.mark.parametrize("view", [JUPYTERLAB, NOTEBOOK_7], ids=["jupyterlab", "notebook 7"])
def test_words_typed_in_lesson_0_redraw_the_row(view, page, notebook):
    path = LESSONS[0]
    copy = notebook(path, view)
    assert run_all(page, copy) == promised(path)
    cell = page.locator(".jp-CodeCell", has=page.locator(".widget-text")).first
    before = cell.locator("img").get_attribute("src")
    cell.locator(".widget-text input").fill("first prize")
    cell.locator(".widget-text input").press("Enter")
    expect(cell.locator("img")).not_to_have_attribute("src", before)
    assert shown(page) == promised(path)
    cell.locator(".widget-text input").fill("so " * 90)
    cell.locator(".widget-text input").press("Enter")
    expect(cell).to_contain_text("Expected texts of at most 77 tokens")


def test_clicks_label_images_in_lesson_24(page, notebook):
    (path,) = (path for path in LESSONS if path.name.startswith("24-"))
    copy = notebook(path, JUPYTERLAB)
    assert run_all(page, copy) == promised(path)
    cell = page.locator(".jp-CodeCell", has=page.locator(".widget-image")).first
    for told, click in (("0 of 50", "yes"), ("1 of 50", "not sure"), ("2 of 50", "back"), ("This one: not sure", "no")):
        before = cell.locator("img").get_attribute("src")
        expect(cell).to_contain_text(told)
        time.sleep(0.3)  # a click that comes sooner does not count
        cell.locator("button").get_by_text(click, exact=True).click()
        expect(cell.locator("img")).not_to_have_attribute("src", before)
    expect(cell).to_contain_text("2 of 50 labelled.")
    assert shown(page) == promised(path)


def test_the_page_of_a_search_opens_from_disk(page, tiny, tmp_path):
    folder, file = tmp_path / "images", tmp_path / "found.html"
    folder.mkdir()
    names = {"car.png": "car.png", "bus.png": 'a bus & <img src="bus.png">.png', "cat.png": "Kätzchen 1.png"}
    for name, new in names.items():
        shutil.copy(IMAGES / name, folder / new)
    command = [sys.executable, "-m", "helpers", "search", str(folder), "a red car", "--html", str(file)]
    subprocess.run(command, check=True, env={**os.environ, "CLIP_MODEL": "tiny"})
    matches = helpers.FolderIndex(folder, *tiny).search("a red car")
    page.goto(file.as_uri())
    told = [f"{match.path.name}{rank} · {match.score:.3f}" for rank, match in enumerate(matches, 1)]
    expect(page.locator("li")).to_have_text(told)
    links = page.locator("li a").evaluate_all("links => links.map(link => link.href)")
    assert links == [match.path.as_uri() for match in matches]
    widths = page.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert widths == [256] * len(names)
    assert [asked for asked in page.asked if not asked.startswith("data:")] == [file.as_uri()]
    assert page.broken == []
