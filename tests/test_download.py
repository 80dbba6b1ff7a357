"""Official files come whole and right, or not at all: against a server on this machine that does its worst."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

import helpers
from helpers import _clip, _download
from helpers.weights import TINY_PATH
from tests.conftest import ROOT

CONTENT = b"".join(i.to_bytes(4, "big") for i in range(75_000))  # 300 kB, and no two places alike
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


class Handler(BaseHTTPRequestHandler):
    """Answers one request after another by the server's list of answers; the last one goes on for ever."""

    def do_GET(self):
        self.server.asked.append(self.path)
        answers = self.server.answers
        try:
            (answers.pop(0) if len(answers) > 1 else answers[0])(self)
        except OSError:  # the other side has hung up
            self.close_connection = True

    def do_CONNECT(self):
        self.send_error(403)

    def log_message(self, *_): ...

    def answer(self, content, length):
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True


def well(request):
    request.answer(request.server.content, len(request.server.content))


def without_length(request):
    request.answer(CONTENT, None)


def lost_halfway(request):
    request.answer(CONTENT[:HALF], len(CONTENT))


def another_file(request):
    request.answer(CONTENT[::-1], len(CONTENT))


def too_short(request):
    request.answer(CONTENT[:HALF], HALF)


def odd_length(request):
    request.answer(CONTENT, "abc")


def stalled(request):
    request.answer(CONTENT[:HALF], len(CONTENT))
    request.server.over.wait(5)


def trickling(request):
    request.answer(b"", None)
    while not request.server.over.wait(0.01):
        request.wfile.write(bytes(1024))


def endless(request):
    request.answer(b"", None)
    while not request.server.over.is_set():
        request.wfile.write(CONTENT)


def status(code):
    return lambda request: request.send_error(code)


@pytest.fixture
def server(monkeypatch):
    """A server, and a model RN50 that it has."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.asked, server.over, server.content = [well], [], threading.Event(), CONTENT
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    server.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setitem(_clip.OFFICIAL_URLS, "RN50", f"{server.address}/{SHA256}/RN50.pt")
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)  # before it tries again
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def fetch(cache):
    return _download.official_file("RN50", 1, cache)


def held(cache):
    return {file.name: file.read_bytes() for file in cache.iterdir()} if cache.exists() else {}


def refused(cache, match):
    """See that one line says the way out, and that nothing half is left."""
    with pytest.raises(ConnectionError, match=match) as caught:
        fetch(cache)
    for part in ("'RN50' (1 MiB)", _clip.OFFICIAL_URLS["RN50"], f"put it into {cache}", "load('tiny')"):
        assert part in str(caught.value)
    assert str(caught.value).isprintable()
    assert held(cache) == {}


@pytest.mark.parametrize(
    "answers",
    [[well], [without_length], [lost_halfway, well], [status(503), well], [another_file, well]],
    ids=["well", "without length", "lost halfway", "busy", "damaged on its way"],
)
def test_a_file_comes_whole_in_the_end(server, cache, answers):
    server.answers = list(answers)
    assert fetch(cache) == (cache / "RN50.pt", CONTENT)
    assert held(cache) == {"RN50.pt": CONTENT}
    assert len(server.asked) == len(answers)


def test_a_file_that_is_there_is_not_asked_for(server, cache):
    fetch(cache)
    assert fetch(cache) == (cache / "RN50.pt", CONTENT)
    assert len(server.asked) == 1


def test_a_damaged_file_is_replaced_with_a_warning(server, cache):
    cache.mkdir()
    (cache / "RN50.pt").write_bytes(CONTENT[:HALF])
    with pytest.warns(UserWarning, match=r"RN50\.pt is damaged and will be downloaded again"):
        fetch(cache)
    assert held(cache) == {"RN50.pt": CONTENT}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (another_file, "SHA256 hash of downloaded file"),
        (too_short, "SHA256 hash of downloaded file"),
        (lost_halfway, "150000 bytes read"),
        (endless, "the server sent more bytes than the file has"),
        (odd_length, "'abc'"),
        (status(404), "404 Client Error: Not Found"),
        (status(503), "503 Server Error: Service Unavailable"),
    ],
    ids=["another file", "too short", "lost", "endless", "odd length", "404", "503"],
)
def test_what_cannot_be_downloaded_says_why(server, cache, answer, says):
    server.answers = [answer]
    refused(cache, f"^Cannot download 'RN50' .*{says}")


def test_a_server_that_stalls_is_given_up(server, cache, monkeypatch):
    monkeypatch.setattr(_download, "STALL_SECONDS", 0.1)
    server.answers = [stalled]
    refused(cache, "timed out")


def test_a_server_that_trickles_is_given_up(server, cache, monkeypatch):
    monkeypatch.setattr(_download, "AFTER_SECONDS", 0.1)
    monkeypatch.setattr(_download, "SLOWEST", 1e6)
    server.answers = [trickling]
    refused(cache, r"only [\d,]+ bytes arrived in 0 seconds")


def test_a_machine_without_network_says_the_way_out(server, cache, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setitem(_clip.OFFICIAL_URLS, "RN50", f"http://127.0.0.1:{port}/{SHA256}/RN50.pt")
    refused(cache, "Cannot download 'RN50' .1 MiB.: Connection refused")


def test_a_proxy_is_asked_in_the_servers_place(server, cache, monkeypatch):
    url = f"http://models.invalid/{SHA256}/RN50.pt"
    monkeypatch.setitem(_clip.OFFICIAL_URLS, "RN50", url)
    monkeypatch.setenv("http_proxy", server.address)
    fetch(cache)
    assert server.asked == [url]


def test_a_proxy_that_refuses_is_named_without_its_password(server, cache, monkeypatch):
    monkeypatch.setitem(_clip.OFFICIAL_URLS, "RN50", f"https://models.invalid/{SHA256}/RN50.pt")
    monkeypatch.setenv("https_proxy", server.address.replace("//", "//me:secret@"))
    refused(cache, "^(?!.*secret).*Tunnel connection failed: 403 Forbidden")


def test_two_processes_at_once_both_have_it(server, cache, processes):
    both = threading.Barrier(2)

    def waits(request):
        both.wait(30)
        well(request)

    server.answers = [waits]
    children = [processes.Process(target=child_fetches, args=(server.address, cache)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        assert child.exitcode == 0
    assert held(cache) == {"RN50.pt": CONTENT}


def child_fetches(address, cache):
    _clip.OFFICIAL_URLS["RN50"] = f"{address}/{SHA256}/RN50.pt"
    assert fetch(cache)[1] == CONTENT


def test_a_full_disk_is_named_and_nothing_half_is_left(server, tmp_path):
    """On a file system of 128 kB; only Linux lets a person make one."""
    cache = tmp_path / "small"
    cache.mkdir()
    mount = f"mount -t tmpfs -o size=128k none {cache}"
    if not shutil.which("unshare") or subprocess.run(["unshare", "-Urm", "sh", "-c", mount], check=False).returncode:
        pytest.skip("no file system can be made here")
    code = (
        "import sys, pathlib; from tests.test_download import *\n"
        "cache = pathlib.Path(sys.argv[2])\n"
        "try: child_fetches(sys.argv[1], cache)\n"
        "except ConnectionError as error: print(error)\n"
        "print(held(cache))"
    )
    command = f"{mount} && exec {sys.executable} -c '{code}' {server.address} {cache}"
    result = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    message, holds = result.stdout.splitlines()
    assert re.search("Cannot download 'RN50' .*No space left on device", message), message
    assert holds == "{}"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes in its folders")
def test_what_is_not_a_file_is_neither_read_nor_replaced(server, cache):
    cache.mkdir()
    os.mkfifo(cache / "RN50.pt")
    with pytest.raises(ConnectionError, match=r"RN50\.pt is not a file"):
        fetch(cache)
    assert (cache / "RN50.pt").is_fifo()


def test_a_model_is_loaded_over_the_network_once(server, cache, monkeypatch):
    """The bundled model stands for an official file."""
    server.content = TINY_PATH.read_bytes()
    sha256 = hashlib.sha256(server.content).hexdigest()
    monkeypatch.setitem(_clip.OFFICIAL_URLS, "RN50", f"{server.address}/{sha256}/RN50.pt")
    for _ in range(2):
        model, _ = helpers.load("RN50", device="cpu", download_root=cache)
    assert torch.equal(model.text_projection, helpers.load("tiny", device="cpu")[0].text_projection)
    assert len(server.asked) == 1


def test_a_user_without_a_home_is_told(monkeypatch):
    def none(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.expanduser", none)
    with pytest.raises(ValueError, match=r"^Expected a home folder.*; got none\. Set HOME, or pass download_root\.$"):
        helpers.load("RN50")


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "cache", "Not a directory|File exists|not a directory")


def test_a_download_has_another_name_until_it_is_whole(server, cache):
    seen = []

    def look_halfway(request):
        request.answer(CONTENT[:HALF], len(CONTENT))
        while not held(cache):
            time.sleep(0.01)
        seen.extend(held(cache))
        request.wfile.write(CONTENT[HALF:])

    server.answers = [look_halfway]
    assert fetch(cache)[1] == CONTENT
    assert seen
    assert "RN50.pt" not in seen
