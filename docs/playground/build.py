"""Write what the playground needs into a folder of the site: ``python -m docs.playground.build FOLDER``."""

import gzip
import html.entities
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import helpers
from helpers._clip import CLIP, tokenizer
from helpers.course import drawings
from helpers.export import export_onnx

HERE = Path(__file__).resolve().parent
IMAGES = HERE.parent.parent / "images"
PACKAGES = HERE / "node_modules"
RUNTIME = PACKAGES / "onnxruntime-web" / "dist"
RUNTIME_SCRIPT, RUNTIME_WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
THUMBNAIL = 128  # pixels; twice what a page shows, for sharp screens
DOWNLOADS = ("merges.txt.gz", "entities.json.gz", f"{RUNTIME_WASM}.gz", "text.onnx", "image.onnx")


def build(folder: Path) -> None:
    """Write scripts, styles, the runtime, the model and the drawings.

    Args:
        folder: is made if it does not exist. Afterwards it holds ``js/`` and the styles, the files that ``Clip.load``
            asks for (``model.json`` lists their bytes), ``drawings.json`` with ``features.bin``, and the drawings.

    Raises:
        RuntimeError: the packages of npm are missing and cannot be installed.
    """
    install_packages()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(HERE / "js", folder / "js", dirs_exist_ok=True)
    for style in HERE.glob("*.css"):
        shutil.copy(style, folder)
    shutil.copy(RUNTIME / RUNTIME_SCRIPT, folder)
    write_gzipped(folder / f"{RUNTIME_WASM}.gz", (RUNTIME / RUNTIME_WASM).read_bytes())
    model, preprocess = helpers.load("tiny", device="cpu")
    write_model(model, folder)
    write_drawings(model, preprocess, folder)


def install_packages() -> None:
    """Run ``npm ci`` where it has not run since the lock file changed."""
    lock, installed = HERE / "package-lock.json", PACKAGES / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(
            "Expected npm, which installs the runtime of the playground; got none. Install Node.js from nodejs.org."
        )
    if subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE).returncode:
        raise RuntimeError(
            "Expected npm to install the runtime of the playground; it failed (see above). "
            "Connect to the network, and run it again."
        )
    installed.touch()


def write_model(model: CLIP, folder: Path) -> None:
    """Write the encoders, and what a tokenizer needs beside them."""
    export_onnx(model, folder)
    merges = "\n".join(map(" ".join, tokenizer.bpe_ranks))
    write_gzipped(folder / "merges.txt.gz", merges.encode())
    write_gzipped(folder / "entities.json.gz", json.dumps(html.entities.html5).encode())
    manifest = {
        "size": model.visual.input_resolution,
        "logitScale": round(model.logit_scale.exp().item(), 4),
        "files": {name: (folder / name).stat().st_size for name in DOWNLOADS},
    }
    (folder / "model.json").write_text(json.dumps(manifest, indent=1))


def write_drawings(model: CLIP, preprocess: object, folder: Path) -> None:
    """Write the drawings, small copies of them, and their normalized features, one row of float32 after the other."""
    for name in ("drawings", "thumbnails"):
        (folder / name).mkdir(exist_ok=True)
    listed, paths = [], [IMAGES / f"{name}.png" for name in drawings.drawing_names()]
    for path in paths:
        shutil.copy(path, folder / "drawings")
        with Image.open(path) as image:
            width, height = image.size
            image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
            image.save(folder / "thumbnails" / f"{path.stem}.webp", quality=90)
        listed.append(
            {
                "name": path.stem,
                "caption": drawings.caption(path.stem),
                "file": f"drawings/{path.name}",
                "thumbnail": f"thumbnails/{path.stem}.webp",
                "width": width,
                "height": height,
            }
        )
    features = helpers.encode_images(model, preprocess, paths, progress=False)  # type: ignore[arg-type]
    (features / np.linalg.norm(features, axis=1, keepdims=True)).astype("<f4").tofile(folder / "features.bin")
    (folder / "drawings.json").write_text(json.dumps(listed, indent=1))


def write_gzipped(path: Path, content: bytes) -> None:
    """Write the same bytes each time: without the hour."""
    path.write_bytes(gzip.compress(content, 9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Expected one folder, to write the playground into. Run `python -m docs.playground.build FOLDER`.")
    try:
        build(Path(sys.argv[1]))
    except RuntimeError as error:
        sys.exit(str(error))
