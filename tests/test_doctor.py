"""`python -m helpers check` finds each fault, which is really made here, and names a fix."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import venv

import pytest

from helpers.course import doctor
from tests.conftest import ROOT

DOCTOR = ROOT / "helpers" / "course" / "doctor.py"
CRASH = "import os; os.abort()"
TORCH = """
class Cuda: is_available = staticmethod(lambda: False)
cuda, backends = Cuda, type("", (), {"mps": Cuda})
class Tensor:
    def numpy(self): return self
    def sum(self): return 2
def ones(n): return Tensor()
"""
NO_NUMPY = TORCH.replace("return 2", "raise RuntimeError('no numpy')")
SIGNALS = pytest.mark.skipif(os.name == "nt", reason="there, a process ends by no signal")


@pytest.fixture
def site(tmp_path):
    """A folder before all others on Python's path, with a PyTorch that takes no time to import."""
    folder = tmp_path / "site"
    package(folder, "torch", TORCH)
    for name in ("torchvision", "numpy", "PIL"):
        package(folder, name)
    return folder


def package(site, name, code=""):
    """Put a package of this name in the way."""
    (site / name).mkdir(parents=True, exist_ok=True)
    (site / name / "__init__.py").write_text(code)


def version(site, name, number, needs=""):
    """Let a package be installed in another version, as pip leaves it on the disk."""
    place = site / f"{name.replace('-', '_')}-{number}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n{needs}\n")


def openai_clip(site, code="import pkg_resources"):
    """Put a package in the way that looks like OpenAI's clip."""
    package(site, "clip")
    (site / "clip" / "simple_tokenizer.py").touch()
    (site / "clip" / "clip.py").write_text(code)


def check(*arguments, python=sys.executable, site="", root=ROOT, **environment):
    """Run the doctor as a file; gives ``{name: text}`` of what is wrong, and everything."""
    result = subprocess.run(
        [python, root / DOCTOR.relative_to(ROOT), *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(site), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == ""
    wrong = {line.split()[1]: line.split(maxsplit=2)[2] for line in result.stdout.splitlines() if line[:5] == "wrong"}
    assert result.returncode == bool(wrong)
    return wrong, result.stdout


@pytest.fixture
def course(tmp_path):
    """A course with nothing but its doctor, its weights and its pyproject.toml."""
    folder = tmp_path / "the course"
    shutil.copytree(ROOT / "helpers" / "weights", folder / "helpers" / "weights")
    (folder / "helpers" / "course").mkdir()
    shutil.copy(DOCTOR, folder / "helpers" / "course")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """An environment with nothing in it."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=False)
    return next(path for name in ("bin/python", "Scripts/python.exe") for path in folder.glob(name))


def test_on_a_good_machine_nothing_is_wrong():
    """With the real packages, and as a command."""
    command = [sys.executable, "-m", "helpers", "check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.findall(r"^\w+ +(\S+)", result.stdout, re.M)[:7] == (
        "Python packages clip imports kernel tiny tiny-vit".split()
    )


@pytest.mark.parametrize(
    ("name", "number", "text"),
    [
        (
            "tqdm",
            "9.1",
            r"Expected tqdm<5,>=4\.66; got tqdm 9\.1\. Run `.* -m pip install --upgrade \"tqdm<5,>=4\.66\"`",
        ),
        ("torch", "2.4.0rc1", r"Expected torch.*; got torch 2\.4\.0rc1\. "),  # comes before 2.4
        ("torch", "2.13.0+cpu", r"Expected torch!=2\.13\.0.*; got torch 2\.13\.0\+cpu\. "),
        ("setuptools", "82.0.1", r"Expected setuptools<80\.9.*; got setuptools 82\.0\.1\. "),  # lacks pkg_resources
    ],
)
def test_a_version_that_does_not_fit_is_named_with_the_one_to_install(site, name, number, text):
    openai_clip(site)
    version(site, name, number)
    wrong, _ = check("--versions", "clip", site=site)
    assert re.match(text, wrong["packages"])


def test_openais_own_clip_needs_no_old_setuptools(site):
    openai_clip(site, "from packaging import version")
    version(site, "setuptools", "82.0.1")
    assert check("--versions", "clip", site=site)[0] == {}


def test_a_torchvision_made_for_another_torch_is_named(site):
    version(site, "torchvision", "0.19.0", "Requires-Dist: torch==2.4.0")
    assert re.match(
        r"Expected a torchvision made for this torch; got torchvision 0\.19\.0, made for torch==2\.4\.0, and torch .*"
        r"install --upgrade \"torch.*\" \"torchvision",
        check("--versions", "clip", site=site)[0]["packages"],
    )


def test_the_clipboard_tool_is_told_from_openais_clip(site):
    package(site, "clip", "def copy(text): ...")
    assert "Rename it, and check again" in check(site=site)[0]["clip"]
    version(site, "clip", "0.2.0")
    text = check(site=site)[0]["clip"]
    assert re.search(r"Run `.* -m pip uninstall --yes .*clip`, then `.* install --upgrade clip-anytorch", text)


def test_two_clips_over_each_other_are_both_uninstalled(site):
    version(site, "openai-clip", "1.0.1")
    version(site, "clip", "1.0")
    assert re.search(r"over each other\. Run `.* uninstall --yes .*clip openai-clip`", check(site=site)[0]["clip"])


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("torch", "raise OSError('no libtorch')", "Expected to import torch; got OSError: no libtorch. Run"),
        ("torchvision", "raise RuntimeError('no nms')", "Expected to import torchvision; got RuntimeError: no nms."),
        ("torch", NO_NUMPY, "Expected to import torch; got RuntimeError: no numpy"),
        pytest.param("clip", CRASH, "Expected to import clip; got a crash (SIGABRT)", marks=SIGNALS),
    ],
)
def test_an_import_that_fails_or_ends_the_process_is_named(site, name, code, text):
    openai_clip(site)
    package(site, name, code)
    wrong, _ = check(site=site)
    assert list(wrong) == ["imports"]
    assert text in wrong["imports"]
    assert "--force-reinstall" in wrong["imports"]


def test_other_helpers_in_the_way_are_named(site):
    package(site, "helpers")
    assert str(site / "helpers") in check(site=site)[0]["imports"]


def test_a_kernel_of_another_python_is_named(site):
    kernel = site / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    start = ["/usr/elsewhere/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": start, "display_name": "x", "language": "python"}))
    wrong, _ = check(site=site, JUPYTER_PATH=str(site / "jupyter"))
    assert re.search(r"got /usr/elsewhere/bin/python.* -m ipykernel install .*Change Kernel", wrong["kernel"])


def test_an_environment_that_is_ready_is_named_before_a_second_install(course, empty):
    (course / ".venv" / "lib" / "python3.11" / "site-packages" / "torch").mkdir(parents=True)
    wrong, output = check(python=empty, root=course)
    assert list(wrong) == ["Python"]
    assert f"the environment of the course, {course / '.venv'}; got " in wrong["Python"]
    assert "install" not in re.sub("ipykernel install", "", output)


@pytest.mark.parametrize(
    ("content", "text"), [(b"cut short", r"of .*tiny\.pt; got \w{8}\. Run `git -C"), (None, "got no file")]
)
def test_weights_that_are_damaged_or_missing_are_named(course, site, content, text):
    file = course / "helpers" / "weights" / "tiny.pt"
    file.unlink()
    if content:
        file.write_bytes(content)
    package(course, "helpers")
    assert re.search(text, check(site=site, root=course)[0]["tiny"])


def test_a_full_disk_is_named_with_the_folder_and_the_need():
    wrong, _ = check("--room", "1e9")
    assert re.match(r"Expected 1e\+09 GB free at /\S+; got [\d.]+ GB\. Free some space there", wrong["room"])
    assert check("--room", "0.000001") == ({}, "")


def test_without_packaging_or_pip_it_says_so(empty, course):
    assert "`packaging`" in check("--versions", "clip", python=empty, root=course)[0]["packages"]


def test_an_old_python_can_read_it_and_is_told_what_to_run(site):
    ast.parse(DOCTOR.read_text(encoding="utf-8"), feature_version=(3, 8))
    (site / "sitecustomize.py").write_text("import sys; sys.version_info = (3, 9, 18)")
    text = check(site=site)[0]["Python"]
    assert re.match(r"Expected Python 3\.11 or newer; got 3\.9\.18, \S+\. (Run|Install)", text)


@pytest.mark.skipif(os.name == "nt", reason="there, a user always has a home")
def test_without_a_home_it_says_what_to_set(site):
    """As in a container that runs as a number: no $HOME, and no entry in the table of users."""
    code = "import os, pwd; pwd.getpwuid = {}.__getitem__; os.environ.pop('HOME', None)"
    (site / "sitecustomize.py").write_text(code)
    assert check(site=site)[0]["kernel"].endswith("got none. Run `export HOME=/tmp`.")


def test_an_unknown_command_is_refused():
    command = [sys.executable, "-m", "helpers", "find"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, "  check " in result.stdout) == (2, True)


def test_a_python_without_the_packages_is_told_one_command(course):
    """-S: without the packages of this environment."""
    command = [sys.executable, "-S", course / "helpers" / "course" / "doctor.py"]
    result = subprocess.run(command, env={"PATH": os.defpath}, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert re.search(r"^wrong packages .* got a Python without PyTorch\. .*make -C ", result.stdout, re.M)


def test_without_jupyter_there_is_a_note_and_nothing_wrong(site):
    openai_clip(site)
    package(site, "jupyter_client", "raise ImportError")
    wrong, output = check(site=site)
    assert wrong == {}
    assert re.search(r"^note +kernel .*Jupyter", output, re.M)
    assert re.search(r"^fine +room ", output, re.M)


def test_a_cache_folder_that_cannot_be_looked_into_is_passed_over(tmp_path, monkeypatch):
    closed, stat = tmp_path / "closed", os.stat

    def fail(path, **options):
        if str(path).startswith(str(closed / "x")):
            raise PermissionError(13, "Permission denied")
        return stat(path, **options)

    closed.mkdir()
    monkeypatch.setattr("os.stat", fail)
    assert [verdict.state for verdict in doctor.room(0, closed / "x" / "y")] == ["fine"]
