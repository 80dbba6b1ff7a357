"""What tests/site.py, tests/panels.py and tests/playground.py share: one browser, the built site, and a server for it.

`make test-site` loads this with ``-p tests.in_browser``: in one process there may be one Playwright.
"""

import functools
import http.server
import os
import threading

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import ROOT

LAPTOP = {"width": 1280, "height": 900}
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # no other machine is reached even by mistake


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *told):
        pass


@pytest.fixture(scope="session")
def chromium():
    """A browser."""
    with sync_playwright() as playwright:
        path = os.environ["CHROMIUM"]
        browser = playwright.chromium.launch(executable_path=path, args=[NOWHERE], chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site():
    """The folder of the site, which `make test-site` builds first: two processes test it."""
    folder = ROOT / "build" / "site"
    assert (folder / "index.html").is_file(), "Expected a site in build/site. Run make site."
    return folder


@pytest.fixture(scope="session")
def served(site):
    """The address of a server for the site."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def page(chromium):
    """A page that keeps in ``asked`` what was asked for, and in ``errors`` what the browser complained of."""
    context = chromium.new_context(viewport=LAPTOP)
    page = context.new_page()
    page.asked, page.errors = [], []
    context.on("request", lambda request: page.asked.append(request.url))
    page.on("websocket", lambda socket: page.asked.append(socket.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda told: page.errors.append(told.text) if told.type == "error" else None)
    yield page
    context.close()
