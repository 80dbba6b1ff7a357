"""`python -m helpers check` finds each fault, which is really made here, and names the command that mends it."""

import ast
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import venv
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import clip
import pytest
from packaging.specifiers import SpecifierSet

from helpers.course import packages
from notebooks import refresh
from tests.conftest import ROOT

NEEDS_PKG_RESOURCES = "pkg_resources" in (Path(clip.__file__).parent / "clip.py").read_text()
NOWHERE = "http://127.0.0.1:9"  # a port that refuses


def check(*arguments, python=sys.executable, site=(), cwd=ROOT, **environment):
    """Run the command as a person would, with folders before all others on Python's path."""
    variables = {"PYTHONPATH": os.pathsep.join(map(str, [*site, ROOT])), "no_proxy": "", "CLIP_MODEL": "tiny"}
    return subprocess.run(
        [python, "-m", "helpers", "check", *arguments],
        cwd=cwd,
        env={**os.environ, "https_proxy": NOWHERE, **variables, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def lines(result, state="wrong"):
    """Give what has this state, each as its name and the rest of the line."""
    assert "Traceback" not in result.stderr
    found = (line.split(maxsplit=2) for line in result.stdout.splitlines() if line.startswith(f"{state:5} "))
    return {name: rest for _, name, rest in found}


def package(site, name, code):
    """Put a package of this name in the way."""
    (site / name).mkdir(parents=True)
    (site / name / "__init__.py").write_text(code)
    return site


def version(site, name, number, needs=""):
    """Let a package be installed in another version, as pip leaves it on the disk."""
    place = site / f"{name.replace('-', '_')}-{number}.dist-info"
    place.mkdir(parents=True, exist_ok=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n{needs}\n")
    return site


@pytest.fixture
def site(tmp_path):
    return tmp_path / "site"


def test_on_a_good_machine_all_is_fine(tmp_path):
    result = check("--json", HOME=str(tmp_path))
    found = json.loads(result.stdout)
    assert result.returncode == 0
    assert found["fine"] is True
    assert {verdict["state"] for verdict in found["verdicts"]} == {"fine", "note"}
    assert [verdict["name"] for verdict in found["verdicts"] if verdict["state"] == "note"] == ["network"]
    names = (
        "Python torch torchvision numpy pillow others clip setuptools helpers kernel device tiny tiny-vit official room"
    )
    expected = [*names.split(), "network"]
    assert [v["name"] for v in found["verdicts"]] == [n for n in expected if n != "setuptools" or NEEDS_PKG_RESOURCES]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A machine with many faults at once that don't touch each other: the verdicts, and the exit status."""
    site, home = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("home")
    version(site, "torchvision", "0.19.0", "Requires-Dist: torch==2.4.0")
    version(site, "tqdm", "9.1")
    version(site, "filelock", "1.0")
    version(site, "openai-clip", "1.0.1")
    cache = home / ".cache" / "clip"
    cache.mkdir(parents=True)
    (cache / "RN50.pt").write_bytes(b"half of it")
    (cache / "ViT-B-32.pt.part").write_bytes(b"\0" * (5 << 20))
    kernel = site / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    start = ["/usr/elsewhere/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": start, "display_name": "x", "language": "python"}))
    tool = site / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    path = os.pathsep.join([str(tool.parent), os.environ["PATH"]])
    result = check(
        "--model", "ViT-L/14", site=[site], HOME=str(home), JUPYTER_PATH=str(site / "jupyter"), PATH=path
    )  # fmt: skip
    assert result.returncode == 1
    return result


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("torchvision", r"0\.19\.0 was built for torch 2\.4\.0, and .* is installed: .* install --upgrade .torch>=2"),
        ("tqdm", r"9\.1 does not fit, the course needs >=4\.66,<5: .*python.* -m pip install .tqdm>=4\.66,<5.$"),
        ("filelock", r"1\.0 does not fit, the course needs >=3\.13,<4: .* install .filelock>=3\.13,<4.$"),
        ("clip", r".*openai-clip are installed over each other: .* -m pip uninstall --yes .*openai-clip && .* install"),
        (
            "kernel",
            r"Jupyter starts /usr/elsewhere/bin/python \(see .*kernels/python3\), not this .* ipykernel install",
        ),
        (
            "official",
            r".*RN50\.pt is damaged, its SHA-256 begins \w{8}, not afeb0e10; fetch it.*helpers\.load\('RN50'\)",
        ),
        (
            "network",
            r".* can't be reached \(.*\); tiny needs no network\. Elsewhere, fetch https://.*ViT-L-14\.pt into",
        ),
    ],
)
def test_a_planted_fault_gets_its_line(many, name, line):
    assert re.match(line, lines(many)[name]), lines(many)[name]


def test_nothing_else_is_wrong_there(many):
    wrong = {"torchvision", "tqdm", "filelock", "clip", "kernel", "official", "network"}
    assert set(lines(many)) == wrong
    assert many.stdout.endswith(f"\n{len(wrong)} wrong\n")


def test_notes_are_not_wrong(many):
    assert "5 of 338 MiB of ViT-B/32 were fetched; load('ViT-B/32') goes on" in lines(many, "note")["official"]
    if not __import__("torch").cuda.is_available():
        assert "nvidia-smi is here, but this build" in lines(many, "note")["device"]


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [
        (
            "torch",
            "raise ImportError('libtorch_cpu.so: no such file')",
            r".* can't be imported \(ImportError: libtorch_cpu\.so: no such file\): .*--force-reinstall .torch",
        ),
        (
            "torch",
            "import os; os.abort()",
            r".* can't be imported \(the process ended with status -?\d+\): .*--force-reinstall",
        ),
        (
            "torchvision",
            "raise RuntimeError('operator torchvision::nms does not exist')",
            r".* can't be imported \(RuntimeError: operator torchvision::nms does not exist\)",
        ),
        (
            "clip",
            "def copy(text): ...",
            r".*clip stands in the way of OpenAI's clip; give it another name: .* install clip-anytorch==",
        ),
        (
            "helpers",
            "def help(): ...",
            r"the lessons find those of .*site/helpers, not .*; rename or uninstall .* --editable",
        ),
        (
            "ftfy",
            "raise SyntaxError('half a file')",
            r".* can't be imported \(SyntaxError: half a file.*\): .*--force-reinstall --no-deps .* .ftfy>=6,<7. ",
        ),
    ],
)
def test_a_package_that_is_another_or_dies_is_named_and_nothing_else(site, name, code, line):
    result = check(site=[package(site, name, code)])
    assert result.returncode == 1
    ((named, rest),) = lines(result).items()
    assert named == ("clip" if name == "ftfy" else name)
    assert re.match(line, rest), rest


def test_the_clipboard_tool_from_the_index_is_uninstalled(site):
    version(package(site, "clip", "def copy(text): ..."), "clip", "0.2.0")
    found = lines(check(site=[site]))
    assert re.match(
        r".*/clip is another project of that name, and not OpenAI's: .* uninstall --yes .*clip", found["clip"]
    )


@pytest.mark.skipif(not NEEDS_PKG_RESOURCES, reason="this clip needs no setuptools")
def test_setuptools_without_pkg_resources_is_named(site):
    version(package(site, "pkg_resources", "raise ModuleNotFoundError('pkg_resources')"), "setuptools", "82.0.1")
    result = check(site=[site])
    assert set(lines(result)) == {"setuptools"}
    assert "82.0.1 does not fit, this clip needs pkg_resources of >=71,<80.9: " in lines(result)["setuptools"]
    assert lines(result, "note")["clip"] == "not tried before what it needs is mended"


def test_numpy_that_torch_cannot_use_is_named(site):
    """As with a torch that was built for another NumPy: that one says its version, and has nothing of the other."""
    code = (
        f"__version__ = {metadata.version('numpy')!r}\ndef __getattr__(name):\n    if name[:2] != '__': return object"
    )
    package(site, "numpy", code)
    found = lines(check(site=[site]))
    assert re.match(r"torch can't give its numbers to NumPy \(.*\): .* --upgrade .torch.* numpy$", found["numpy"])


def test_an_environment_with_nothing_in_it_is_told_the_one_command(tmp_path):
    venv.create(tmp_path / "empty", with_pip=False)
    (python,) = (tmp_path / "empty").glob("*/python.exe" if sys.platform == "win32" else "bin/python")
    result = check(python=str(python), PYTHONPATH="")
    found = lines(result)
    assert {"torch", "torchvision", "numpy", "pillow", "clip"} <= set(found)
    assert found["torch"].startswith(f"is not installed: {python} -m pip install ")
    assert "no Jupyter here; to open the lessons: " in lines(result, "note")["kernel"]
    assert lines(result, "note")["helpers"] == "not tried before what they need is mended"
    assert f'all that is missing at once: {python} -m pip install --editable "{ROOT}[clip,lab]"' in result.stdout


@pytest.mark.parametrize(
    ("change", "line"), [("cut", "tiny.pt is damaged, 1,000 bytes"), ("gone", "tiny.pt is missing")]
)
def test_the_embedded_model_is_compared_with_its_checksum(tmp_path, site, change, line):
    """In a copy of the helpers; the stub of torch ends the rest early."""
    shutil.copytree(ROOT / "helpers", tmp_path / "helpers", ignore=shutil.ignore_patterns("__pycache__", "tiny.pt"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    if change == "cut":
        content = (ROOT / "helpers" / "weights" / "tiny.pt").read_bytes()
        (tmp_path / "helpers" / "weights" / "tiny.pt").write_bytes(content[:1000])
    site = package(site, "torch", "raise ImportError('stub')")
    found = lines(check(site=[site], cwd=tmp_path))
    assert line in found["tiny"]
    assert re.search(r"git -C .*weights checkout -- tiny\.pt$", found["tiny"])


class Sound(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_): ...


@contextlib.contextmanager
def serving(handler):
    """Answer on this machine; gives the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_sound_official_file_and_a_server_that_answers_are_told(site, tmp_path):
    """With a clip whose addresses lead to this machine, and hold the checksum of a short file."""
    content = b"not a model, and just what its checksum says"
    cache = tmp_path / ".cache" / "clip"
    cache.mkdir(parents=True)
    (cache / "RN50.pt").write_bytes(content)
    shutil.copytree(Path(clip.__file__).parent, site / "clip", ignore=shutil.ignore_patterns("__pycache__"))
    with serving(Sound) as address:
        file = site / "clip" / "clip.py"
        code = re.sub(r"https://\w+\.azureedge\.net", address, file.read_text())
        file.write_text(re.sub(r"/\w+/RN50\.pt", f"/{hashlib.sha256(content).hexdigest()}/RN50.pt", code))
        result = check("--model", "ViT-B/32", site=[site], HOME=str(tmp_path))
    assert lines(result, "fine")["official"] == f"RN50 in {cache}"
    assert lines(result, "fine")["network"] == f"{address.removeprefix('http://')} answers"
    assert lines(result) == {}


def test_a_small_disk_is_named(tmp_path):
    """On a file system of a megabyte; only Linux lets a person make one."""
    (tmp_path / ".cache").mkdir()
    mount = f"mount -t tmpfs -o size=1m none {tmp_path}/.cache"
    if not shutil.which("unshare") or subprocess.run(["unshare", "-Urm", "sh", "-c", mount], check=False).returncode:
        pytest.skip("no file system can be made here")
    variables = {**os.environ, "HOME": str(tmp_path), "https_proxy": NOWHERE, "PYTHONPATH": str(ROOT)}
    command = f"{mount} && exec {sys.executable} -m helpers check --model RN50x64"
    result = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", command], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert re.match(r"[01] MiB are free at .*/\.cache, a download takes 1290; make room, or", lines(result)["room"])


def test_an_old_python_can_read_it_and_is_told(tmp_path):
    parts = ("__init__", "check", "packages", "probe")
    for name in ("__init__", "__main__", "weights/__init__", *(f"commands/{part}" for part in parts)):
        ast.parse((ROOT / "helpers" / f"{name}.py").read_text(), feature_version=(3, 8))
    for name in ("python3.8", "python3.9", "python3.10"):
        with contextlib.suppress(OSError):
            result = check(python=name)
            if result.stdout:
                assert result.returncode == 1
                assert re.match(r"3\.\d+\.\d+ is too old for the course: make PYTHON=", lines(result)["Python"])


def first_cell(site, *options):
    """Run what the first cell of every lesson does outside Colab, as a kernel would: in the folder of the lessons."""
    code = re.sub(r"^( +)[!%].*$", r"\1pass", refresh.setup_cell(), flags=re.M)
    command = [sys.executable, *options, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(command, cwd=ROOT / "notebooks", env=environment, capture_output=True, text=True, check=False)


def test_a_lesson_says_nothing_where_all_fits(site):
    result = first_cell(site)
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)


def test_a_lesson_says_what_does_not_fit_and_goes_on(site):
    result = first_cell(version(version(site, "numpy", "1.19"), "pillow", "99.0"))
    assert [line.split()[:3] for line in result.stdout.splitlines()] == [
        ["wrong", "numpy", "1.19"],
        ["wrong", "pillow", "99.0"],
    ]
    assert result.returncode == 0


def test_a_lesson_that_cannot_import_ends_with_what_mends_it(site):
    version(package(site, "torch", "raise ImportError('no libtorch')"), "torch", "1.7.1")
    result = first_cell(site)
    last = result.stderr[result.stderr.rindex("\nImportError: ") :]
    assert last.startswith(
        "\nImportError: ImportError: no libtorch\nwrong torch        1.7.1 does not fit, the course "
    )


def test_a_kernel_of_another_python_is_told_what_to_install_for_it(site):
    """One without any package, not even the helpers."""
    result = first_cell(site, "-S")
    last = result.stderr[result.stderr.rindex("\nImportError: ") :].splitlines()
    assert f"wrong torch        is not installed: {sys.executable} -m pip install " in "\n".join(last)
    assert last[-1] == f'all that is missing at once: {sys.executable} -m pip install --editable "{ROOT}[clip,lab]"'


@pytest.mark.parametrize("bounds", [">=2.4,<3,!=2.13.0", "==2.6.0", ">=71,<80.9", ">=2022.10.31", ""])
def test_bounds_are_read_as_pip_reads_them(bounds):
    for (
        number
    ) in "1.9 2.3.9 2.4 2.4.0 2.6 2.6.0 2.6.0.1 2.12 2.13 2.13.0 3 3.0.1 71 80.8.0 80.9 80.9.1 2022.9 2024.1".split():
        assert packages.fits(number, bounds) == SpecifierSet(bounds).contains(number)
    assert packages.fits("2.6.0+cu121", bounds) == packages.fits("2.6.0", bounds)


def test_another_command_is_refused():
    command = [sys.executable, "-m", "helpers", "find"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "  check " in result.stdout
