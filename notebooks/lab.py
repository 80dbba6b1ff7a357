"""Open the lessons in JupyterLab, as a working copy.

    python notebooks/lab.py [options of jupyter lab]

So learning changes nothing of the course itself. The copy is the folder
`learning`, which git ignores. A lesson that you have not changed follows
the course when that is updated; one that you have changed stays.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COURSE = ROOT / "notebooks"
LEARNING = ROOT / "learning"  # beside it, so that ../images is found
RECORD = ".copied.json"  # SHA-256 of each lesson when it was copied


def copy_lessons(
    course: Path = COURSE, learning: Path = LEARNING
) -> list[str]:
    """Copy the lessons that are new or that the reader left as they were.

    Returns:
        The lessons that the reader changed, and the course since then.
    """
    learning.mkdir(exist_ok=True)
    record = learning / RECORD
    copied = json.loads(record.read_text()) if record.exists() else {}
    kept = []
    for lesson in sorted(course.glob("[0-9][0-9]-*.ipynb")):
        copy, new = learning / lesson.name, _sha256(lesson)
        if copied.get(lesson.name) == new and copy.exists():
            continue
        if copy.exists() and _sha256(copy) != copied.get(lesson.name):
            kept.append(lesson.name)
            continue
        shutil.copyfile(lesson, copy)
        copied[lesson.name] = new
    record.write_text(json.dumps(copied, indent=1))
    return kept


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main(options: list[str]) -> None:
    """Copy the lessons, and become JupyterLab."""
    for name in copy_lessons():
        print(f"Kept learning/{name}, which you changed.", end=" ")
        print(f"notebooks/{name} is newer.")
    start = f"/lab/tree/{LEARNING.name}/00-first-five-minutes.ipynb"
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "lab",
        f"--ServerApp.root_dir={ROOT}",
        "--LabApp.news_url=None",
    ]
    command += [f"--LabApp.default_url={start}", *options]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    if os.name == "nt":  # there, execv would start it in the background
        sys.exit(subprocess.call(command))
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main(sys.argv[1:])
