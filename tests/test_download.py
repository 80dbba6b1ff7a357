"""Official files come whole and right, or not at all: against a server on this machine that does its worst."""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

import helpers
from helpers import openai
from helpers._checkpoint import read_state_dict
from tests.conftest import ROOT

CONTENT = b"".join(i.to_bytes(4, "big") for i in range(75_000))  # 300 kB, and no two places alike
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


class Handler(BaseHTTPRequestHandler):
    """Answers one request after another by the server's list of answers; the last one goes on for ever."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def do_CONNECT(self):
        self.server.asked.append((self.path, "CONNECT"))
        self.send_error(403)

    def log_message(self, *_): ...

    def head(self, status, length=None, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def rest(self):
        """Send what was asked for, by its range."""
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if start >= len(self.server.content):
            self.head(416, 0)
            return b""
        ranges = {"Content_Range": f"bytes {start}-{len(self.server.content) - 1}/{len(self.server.content)}"}
        self.head(206 if start else 200, len(self.server.content) - start, **ranges if start else {})
        return self.server.content[start:]


def well(request):
    request.wfile.write(request.rest())


def lost_halfway(request):
    content = request.rest()
    request.wfile.write(content[: len(content) // 2])
    request.close_connection = True


def without_ranges(request):
    request.head(200, len(CONTENT))
    request.wfile.write(CONTENT)


def in_small_pieces(request):
    content = request.rest()
    for start in range(0, len(content), 997):
        request.wfile.write(content[start : start + 997])


def stalled(request):
    content = request.rest()
    request.wfile.write(content[: len(content) // 2])
    request.server.over.wait(5)


def another_file(request):
    request.head(200, len(CONTENT))
    request.wfile.write(CONTENT[::-1])


def too_short(request):
    request.head(200, HALF)
    request.wfile.write(CONTENT[:HALF])


def endless(request):
    request.head(200)
    with contextlib.suppress(OSError):
        while not request.server.over.is_set():
            request.wfile.write(CONTENT)
    request.close_connection = True


def without_length(request):
    request.head(200)
    request.wfile.write(CONTENT)
    request.close_connection = True


def says_nothing(request):
    request.close_connection = True


def status(code):
    def answer(request):
        request.send_error(code)

    return answer


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
    monkeypatch.setitem(openai.OFFICIAL_URLS, "RN50", f"{server.address}/{SHA256}/RN50.pt")
    monkeypatch.setattr("helpers._download.WAITS_SECONDS", (0, 0, 0, 0))
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def fetch(cache):
    return openai.fetch("RN50", 1, cache)


def held(cache):
    """What the cache holds; never a bad file under the good name."""
    files = (
        {file.name: file.read_bytes() for file in cache.iterdir() if file.suffix != ".lock"} if cache.exists() else {}
    )
    assert files.get("RN50.pt", CONTENT) == CONTENT
    return files


def refused(cache, match):
    with pytest.raises(ConnectionError, match=match) as caught:
        fetch(cache)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("'RN50' (1 MiB)", f"elsewhere and put it into {cache}", "load('tiny')"):
        assert part in message
    return message


WHOLE = {"RN50.pt": CONTENT}


@pytest.mark.parametrize(
    ("answers", "ranges"),
    [
        ([well], [0]),
        ([in_small_pieces], [0]),
        ([without_length], [0]),
        ([lost_halfway, well], [0, HALF]),
        ([lost_halfway, lost_halfway, lost_halfway, well], [0, HALF, HALF * 3 // 2, HALF * 7 // 4]),
        ([lost_halfway, without_ranges], [0, HALF]),
        ([lost_halfway, says_nothing, well], [0, HALF, HALF]),
        ([status(503), well], [0, 0]),
        ([status(503), status(502), status(429), well], [0, 0, 0, 0]),
        ([says_nothing, well], [0, 0]),
    ],
)
def test_a_file_comes_whole_in_the_end(server, cache, answers, ranges):
    server.answers = list(answers)
    assert fetch(cache) == cache / "RN50.pt"
    assert held(cache) == WHOLE
    assert [int((asked or "bytes=0-")[6:-1]) for _, asked in server.asked] == ranges


def test_a_file_that_is_there_is_not_asked_for(server, cache):
    fetch(cache)
    fetch(cache)
    assert len(server.asked) == 1


def test_a_connection_lost_too_often_says_how_to_go_on(server, cache):
    server.answers = [lost_halfway]
    message = refused(
        cache, r"the connection was lost after 0\.3 of 0\.3 MiB\): 0\.3 MiB are kept, and the same call goes"
    )
    assert message.index("goes on") < message.index("download http")
    assert list(held(cache)) == ["RN50.pt.part"]
    server.answers = [well]
    fetch(cache)
    assert held(cache) == WHOLE
    assert server.asked[-1][1] == f"bytes={HALF * 15 // 8}-"


@pytest.mark.skipif(sys.platform == "win32", reason="a process is interrupted otherwise there")
def test_who_interrupts_it_is_told_how_to_go_on(server, cache, request):
    server.answers = [stalled, well]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, it is ignored
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    threading.Thread(target=interrupts, args=(cache,), daemon=True).start()
    with pytest.raises(KeyboardInterrupt, match=r"^0\.\d MiB are kept, and the same call goes on with them$"):
        fetch(cache)
    assert held(cache).keys() == {"RN50.pt.part"}
    fetch(cache)
    assert held(cache) == WHOLE
    assert server.asked[1][1].startswith("bytes=")


def interrupts(cache):
    """Press Ctrl-C once something has come."""
    part = cache / "RN50.pt.part"
    while not (part.exists() and part.stat().st_size):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_server_that_stalls_is_given_up_and_asked_again(server, cache, monkeypatch):
    monkeypatch.setattr("helpers._download.STALL_SECONDS", 0.1)
    server.answers = [stalled, well]
    fetch(cache)
    assert held(cache) == WHOLE
    assert len(server.asked) == 2


@pytest.mark.parametrize("answer", [another_file, too_short, endless])
def test_another_file_is_refused_at_once(server, cache, answer):
    server.answers = [answer]
    refused(cache, f"what came is another file: its SHA-256 does not begin {SHA256[:8]}")
    assert held(cache) == {}
    assert len(server.asked) == 1


@pytest.mark.parametrize(("code", "says"), [(404, "HTTP 404 Not Found"), (403, "HTTP 403 Forbidden")])
def test_a_missing_file_is_not_asked_for_again(server, cache, code, says):
    server.answers = [status(code)]
    refused(cache, says)
    assert held(cache) == {}
    assert len(server.asked) == 1


def test_a_server_that_stays_busy_is_named(server, cache):
    server.answers = [status(503)]
    refused(cache, "HTTP 503 Service Unavailable")
    assert held(cache) == {}
    assert len(server.asked) == 4


def test_a_server_that_is_not_there_is_asked_once(server, cache, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setitem(openai.OFFICIAL_URLS, "RN50", f"http://127.0.0.1:{port}/{SHA256}/RN50.pt")
    refused(cache, r"\(Connection refused\)")


@pytest.mark.parametrize("part", [CONTENT[:HALF], CONTENT, CONTENT[::-1], CONTENT[:HALF][::-1], CONTENT + b"more", b""])
def test_whatever_a_part_holds_the_file_is_right(server, cache, part):
    cache.mkdir()
    (cache / "RN50.pt.part").write_bytes(part)
    fetch(cache)
    assert held(cache) == WHOLE


def test_a_whole_part_needs_no_network(server, cache):
    cache.mkdir()
    (cache / "RN50.pt.part").write_bytes(CONTENT)
    server.answers = [status(404)]
    fetch(cache)
    assert server.asked == []


def test_a_damaged_file_is_replaced_with_a_warning(server, cache):
    cache.mkdir()
    (cache / "RN50.pt").write_bytes(CONTENT[:HALF])
    with pytest.warns(UserWarning, match=r"RN50\.pt is damaged, and is fetched anew"):
        fetch(cache)
    assert held(cache) == WHOLE


@pytest.mark.skipif(sys.platform == "win32", reason="a process dies otherwise there")
def test_a_killed_process_leaves_a_part_that_is_gone_on_with(server, cache, processes):
    server.answers = [stalled, well]
    child = processes.Process(target=child_fetches, args=(server.address, cache))
    child.start()
    part = cache / "RN50.pt.part"
    while not (part.exists() and part.stat().st_size):
        assert child.is_alive()
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert held(cache).keys() == {"RN50.pt.part"}
    fetch(cache)
    assert held(cache) == WHOLE
    assert server.asked[1][1].startswith("bytes=")


def test_of_two_processes_one_fetches_and_both_have_it(server, cache, processes):
    begun, go_on = threading.Event(), threading.Event()

    def waits(request):
        content = request.rest()
        request.wfile.write(content[:HALF])
        begun.set()
        go_on.wait(30)
        request.wfile.write(content[HALF:])

    server.answers = [waits, status(404)]
    first, second = (processes.Process(target=child_fetches, args=(server.address, cache)) for _ in range(2))
    first.start()
    assert begun.wait(30)
    second.start()
    second.join(0.1)
    go_on.set()
    for child in (first, second):
        child.join(30)
        assert child.exitcode == 0
    assert held(cache) == WHOLE
    assert len(server.asked) == 1


def test_one_that_waits_says_so(server, cache):
    begun, told = threading.Event(), threading.Event()

    def waits(request):
        begun.set()
        told.wait(30)
        well(request)

    server.answers = [waits]
    first = threading.Thread(target=fetch, args=(cache,))
    first.start()
    assert begun.wait(30)
    second = threading.Timer(0.05, told.set)
    second.start()
    with pytest.warns(UserWarning, match=r"another process fetches .*RN50\.pt; this one waits for it"):
        fetch(cache)
    first.join()
    assert len(server.asked) == 1


def child_fetches(address, cache):
    openai.OFFICIAL_URLS["RN50"] = f"{address}/{SHA256}/RN50.pt"
    fetch(cache)


def test_a_proxy_is_asked_in_the_servers_place(server, cache, monkeypatch):
    url = f"http://models.invalid/{SHA256}/RN50.pt"
    monkeypatch.setitem(openai.OFFICIAL_URLS, "RN50", url)
    monkeypatch.setenv("http_proxy", server.address)
    fetch(cache)
    assert held(cache) == WHOLE
    assert server.asked == [(url, None)]


def test_a_host_in_no_proxy_is_asked_itself(server, cache, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    fetch(cache)
    assert held(cache) == WHOLE


def test_a_proxy_that_refuses_is_named_without_its_password(server, cache, monkeypatch):
    monkeypatch.setitem(openai.OFFICIAL_URLS, "RN50", f"https://models.invalid/{SHA256}/RN50.pt")
    proxy = urllib.parse.urlsplit(server.address).netloc
    monkeypatch.setenv("https_proxy", f"http://me:secret@{proxy}")
    message = refused(
        cache, rf"Tunnel connection failed: 403 Forbidden, by way of http://{proxy}, which https_proxy names"
    )
    assert "secret" not in message
    assert server.asked == [("models.invalid:443", "CONNECT")]
    assert held(cache) == {}


@pytest.mark.parametrize(
    ("answer", "says", "kept"),
    [
        (well, r"\(0\.1 MiB are free in .*small, and 0\.3 are to come: make room, or name another folder", {}),
        (
            without_length,
            r"part can't be written \(No space left on device\): make room, .*: 0\.1 MiB are kept, and the same call",
            {"RN50.pt.part": 128 * 1024},
        ),
    ],
)
def test_a_full_disk_is_named(server, tmp_path, answer, says, kept):
    """On a file system of 128 kB; only Linux lets a person make one."""
    server.answers = [answer]
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
        "print({name: len(content) for name, content in held(cache).items()})"
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
    assert re.search(says, message), message
    assert holds == str(kept)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="nothing is forbidden to this user")
def test_a_folder_that_cannot_be_written_is_named(server, cache):
    cache.mkdir(mode=0o500)
    refused(cache, "Permission denied")


def test_a_folder_that_is_a_file_is_named(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    refused(tmp_path / "file" / "cache", "Not a directory|File exists")


def test_a_model_is_loaded_over_the_network(server, cache, tmp_path, monkeypatch):
    """The embedded model stands for an official file."""
    state_dict = read_state_dict(ROOT / "helpers" / "weights" / "tiny.pt")
    torch.save(state_dict, tmp_path / "RN50.pt")
    server.content = (tmp_path / "RN50.pt").read_bytes()
    sha256 = hashlib.sha256(server.content).hexdigest()
    monkeypatch.setitem(openai.OFFICIAL_URLS, "RN50", f"{server.address}/{sha256}/RN50.pt")
    server.answers = [status(503), lost_halfway, well]
    model, _ = helpers.load("RN50", device="cpu", download_root=cache)
    assert torch.equal(model.text_projection, helpers.load("tiny", device="cpu")[0].text_projection)
    assert (cache / "RN50.pt").read_bytes() == server.content
