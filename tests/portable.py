"""Compare every lesson as another machine would run it.

    python tests/portable.py [SEED ...]

Other processors and other versions of torch round otherwise; that moves a feature by about a millionth. Here it is done
on purpose, and harder: the weights of the bundled models are shaken, each multiplied by 1 + 1e-4 times a normal
number, while torch uses the instructions of an old processor and one thread (seed 0, and all even ones), or four
threads (odd ones). The saved outputs must come out all the same.
Lessons 1 and 2 look at the file of `tiny` itself, so they run with the file as it is.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from helpers.models import TINY_PATH, VIT_PATH

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
OLD_PROCESSOR = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "OPENBLAS_CORETYPE": "Nehalem",
    "OMP_NUM_THREADS": "1",
}
FOUR_THREADS = {"OMP_NUM_THREADS": "4"}
OWN_FILE = ("01-", "02-")  # these lessons look at the file of `tiny` itself
SEEDS = (0,)
SHAKE = 1e-4
START_UP = """\
from pathlib import Path

from helpers import models

models.TINY_PATH, models.TINY_SHA256 = Path({tiny[0]!r}), {tiny[1]!r}
models.VIT_PATH, models.VIT_SHA256 = Path({vit[0]!r}), {vit[1]!r}
"""


def shake(folder: Path, seed: int) -> None:
    """Write shaken weights, and a profile of IPython that lets every kernel take them for the bundled ones."""
    torch.manual_seed(seed)
    tiny, vit = (shake_file(path, folder / path.name) for path in (TINY_PATH, VIT_PATH))
    profile = folder / "profile_default" / "startup"
    profile.mkdir(parents=True)
    (profile / "shaken.py").write_text(START_UP.format(tiny=tiny, vit=vit))


def shake_file(path: Path, target: Path) -> tuple[str, str]:
    """Write shaken weights of this file to another one, and give its path and its checksum."""
    weights = torch.load(path, weights_only=True)
    torch.save({key: value.float() * (1 + SHAKE * torch.randn(value.shape)) for key, value in weights.items()}, target)
    return str(target), hashlib.sha256(target.read_bytes()).hexdigest()


def compare(lessons: list[Path], environment: dict[str, str]) -> bool:
    """Run nbval on these lessons; tell whether all outputs are as saved."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadscope", *map(str, lessons)]
    return subprocess.run(command, cwd=NOTEBOOKS.parent, env={**os.environ, **environment}, check=False).returncode == 0


def main(seeds: list[int]) -> int:
    """Run all lessons once for each seed: an even one on the old processor, an odd one with four threads."""
    lessons = sorted(NOTEBOOKS.glob("*.ipynb"))
    plain = [lesson for lesson in lessons if lesson.name.startswith(OWN_FILE)]
    shaken = [lesson for lesson in lessons if lesson not in plain]
    same = True
    for seed in seeds:
        machine = (OLD_PROCESSOR, FOUR_THREADS)[seed % 2]
        print(f"seed {seed}, {machine}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            shake(Path(folder), seed)
            same = compare(plain, machine) and same
            same = compare(shaken, {**machine, "IPYTHONDIR": folder}) and same
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main([int(seed) for seed in sys.argv[1:]] or SEEDS))
